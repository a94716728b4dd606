// Checks Grafana dashboards: every field against Grafana's own types, strictly, and then what a dashboard needs to be of use.
//
//	go run . [--expressions FILE] DASHBOARD.json...
//
// With --expressions the PromQL of all panels is written as a file of rules, for promtool to judge.
package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/grafana/grafana-foundation-sdk/go/cog"
	"github.com/grafana/grafana-foundation-sdk/go/cog/plugins"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
	"github.com/grafana/grafana-foundation-sdk/go/prometheus"
)

// What Grafana would put in, as something that PromQL can be parsed with.
var replacer = strings.NewReplacer("$__rate_interval", "5m", "$__interval", "1m", "$__range", "1h")

// A range that is written out is wrong as soon as the scrape interval or the time shown is another.
var fixedRange = regexp.MustCompile(`\b(rate|irate|increase|delta|deriv)\([^)]*\[[0-9]`)

// A selector's braces, of a metric.
var selector = regexp.MustCompile(`[a-zA-Z_:][a-zA-Z0-9_:]*\{[^}]*\}`)

type finder struct {
	file        string
	findings    []string
	expressions []string
}

func (f *finder) find(format string, values ...any) {
	f.findings = append(f.findings, f.file+": "+fmt.Sprintf(format, values...))
}

func main() {
	expressions := flag.String("expressions", "", "where to write the PromQL of all panels, as rules")
	flag.Parse()
	if flag.NArg() == 0 {
		fmt.Fprintln(os.Stderr, "no dashboard is named")
		os.Exit(2)
	}
	plugins.RegisterDefaultPlugins()
	var findings, found []string
	uids := map[string]string{}
	for _, path := range flag.Args() {
		f := &finder{file: filepath.Base(path)}
		f.check(path, uids)
		findings = append(findings, f.findings...)
		found = append(found, f.expressions...)
	}
	for _, finding := range findings {
		fmt.Fprintln(os.Stderr, finding)
	}
	if len(findings) > 0 {
		os.Exit(1)
	}
	if *expressions != "" {
		if err := writeRules(*expressions, found); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	fmt.Printf("%d dashboards, %d expressions of PromQL\n", flag.NArg(), len(found))
}

func (f *finder) check(path string, uids map[string]string) {
	raw, err := os.ReadFile(path)
	if err != nil {
		f.find("%v", err)
		return
	}
	// It leaves panels out whenever it gives an error, even one without any in it: so it is read once more.
	if mistakes := mistakesOf(new(dashboard.Dashboard).UnmarshalJSONStrict(raw)); len(mistakes) > 0 {
		f.find("it is not what Grafana reads: %s", strings.Join(mistakes, "; "))
		return
	}
	var board dashboard.Dashboard
	if err := json.Unmarshal(raw, &board); err != nil {
		f.find("%v", err)
		return
	}
	for _, mistake := range mistakesOf(board.Validate()) {
		f.find("%s", mistake)
	}
	uid := text(board.Uid)
	if uid == "" || text(board.Title) == "" || text(board.Description) == "" || len(board.Tags) == 0 {
		f.find("uid, title, description and tags are needed")
	}
	if other, taken := uids[uid]; taken {
		f.find("uid %q is that of %s too", uid, other)
	}
	uids[uid] = f.file
	sources := map[string]bool{}
	hasJob := false
	for _, variable := range board.Templating.List {
		if variable.Type == dashboard.VariableTypeDatasource {
			sources["${"+variable.Name+"}"] = true
		}
		hasJob = hasJob || variable.Name == "job"
	}
	if len(sources) == 0 {
		f.find("a variable of type datasource is needed: whoever imports the dashboard has another one")
	}
	seen := map[uint32]bool{}
	var places []place
	for _, either := range board.Panels {
		if row := either.RowPanel; row != nil {
			if seen[row.Id] {
				f.find("two panels have id %d", row.Id)
			}
			seen[row.Id] = true
			places = append(places, f.place("row "+text(row.Title), row.GridPos))
			for _, panel := range row.Panels {
				f.panel(panel, sources, hasJob, seen)
			}
			continue
		}
		if panel := either.Panel; panel != nil {
			places = append(places, f.panel(*panel, sources, hasJob, seen))
		}
	}
	for i, one := range places {
		for _, other := range places[i+1:] {
			if one.overlaps(other) {
				f.find("%s and %s overlap", one.name, other.name)
			}
		}
	}
}

func (f *finder) panel(panel dashboard.Panel, sources map[string]bool, hasJob bool, seen map[uint32]bool) place {
	name := fmt.Sprintf("panel %q", text(panel.Title))
	at := f.place(name, panel.GridPos)
	if panel.Id == nil || seen[*panel.Id] {
		f.find("%s needs an id of its own", name)
	} else {
		seen[*panel.Id] = true
	}
	if text(panel.Title) == "" || text(panel.Description) == "" {
		f.find("%s needs a title and a description", name)
	}
	if panel.Type == "text" {
		return at
	}
	if panel.Datasource == nil || !sources[text(panel.Datasource.Uid)] {
		f.find("%s does not go by a variable's data source", name)
	}
	if panel.Type != "table" && (panel.FieldConfig == nil || text(panel.FieldConfig.Defaults.Unit) == "") {
		f.find("%s has no unit", name)
	}
	if len(panel.Targets) == 0 {
		f.find("%s asks for nothing", name)
	}
	refs := map[string]bool{}
	for _, target := range panel.Targets {
		query, ok := asPrometheus(target)
		if !ok {
			continue
		}
		ref := text(query.RefId)
		if refs[ref] || ref == "" {
			f.find("%s: each query needs a refId of its own", name)
		}
		refs[ref] = true
		if strings.TrimSpace(query.Expr) == "" {
			f.find("%s: query %s is empty", name, ref)
			continue
		}
		if fixedRange.MatchString(query.Expr) {
			f.find("%s: query %s has a range that is written out; $__rate_interval is right", name, ref)
		}
		for _, found := range selector.FindAllString(query.Expr, -1) {
			if hasJob && !strings.Contains(found, `job=~"$job"`) {
				f.find("%s: query %s: %s does not go by the variable job", name, ref, found)
			}
		}
		if hasJob && !strings.Contains(query.Expr, `job=~"$job"`) {
			f.find("%s: query %s does not go by the variable job", name, ref)
		}
		f.expressions = append(f.expressions, replacer.Replace(query.Expr))
	}
	return at
}

// What is wrong, one by one. Grafana puts defaults in the place of what is missing; and what an annotation asks its data source for is in
// that one's own words.
func mistakesOf(err error) []string {
	var errs cog.BuildErrors
	if err == nil {
		return nil
	}
	if !errors.As(err, &errs) {
		return []string{err.Error()}
	}
	var mistakes []string
	for _, one := range errs {
		isDefault := strings.HasPrefix(one.Message, "required field is missing")
		isQuery := strings.HasSuffix(one.Path, ".AnnotationQuery") && strings.HasPrefix(one.Message, "unexpected field")
		if !isDefault && !isQuery {
			mistakes = append(mistakes, one.Error())
		}
	}
	return mistakes
}

func asPrometheus(target any) (prometheus.Dataquery, bool) {
	switch query := target.(type) {
	case prometheus.Dataquery:
		return query, true
	case *prometheus.Dataquery:
		return *query, true
	}
	return prometheus.Dataquery{}, false
}

// Where something is shown, on a grid of 24 columns.
type place struct {
	name       string
	x, y, w, h uint32
}

func (f *finder) place(name string, at *dashboard.GridPos) place {
	if at == nil || at.W == 0 || at.H == 0 || at.X+at.W > 24 {
		f.find("%s has no place within 24 columns", name)
		return place{name: name}
	}
	return place{name, at.X, at.Y, at.W, at.H}
}

func (p place) overlaps(other place) bool {
	return p.x < other.x+other.w && other.x < p.x+p.w && p.y < other.y+other.h && other.y < p.y+p.h
}

func writeRules(path string, expressions []string) error {
	type rule struct {
		Record string `json:"record"`
		Expr   string `json:"expr"`
	}
	var rules []rule
	for at, expression := range expressions {
		rules = append(rules, rule{Record: fmt.Sprintf("panel:query:%d", at), Expr: expression})
	}
	// JSON is YAML.
	file := map[string]any{"groups": []any{map[string]any{"name": "dashboards", "rules": rules}}}
	encoded, err := json.Marshal(file)
	if err != nil {
		return err
	}
	return os.WriteFile(path, encoded, 0o600)
}

func text(value *string) string {
	if value == nil {
		return ""
	}
	return *value
}
