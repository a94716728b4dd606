//! What was found, in sentences and in tables.

use comfy_table::{ContentArrangement, Table, presets};
use fairness::{Answer, Comparison, Median, Settings, Verdict};

use super::super::times::length;
use super::waits::About;

/// Whether there is a gap at all, in a sentence.
pub(super) fn overall(answers: &[Answer]) -> String {
    let verdicts: Vec<Verdict> =
        answers.iter().flat_map(|answer| &answer.comparisons).map(|comparison| comparison.verdict).collect();
    let count = |wanted: &[Verdict]| verdicts.iter().filter(|verdict| wanted.contains(verdict)).count();
    let (all, gaps, unclear) = (verdicts.len(), count(&[Verdict::Sooner, Verdict::Later]), count(&[Verdict::Unclear]));
    match (all, gaps, unclear) {
        (0, ..) => "Too few to tell whether there is a gap.".to_owned(),
        (_, 0, 0) => format!("There is no gap: {all} of {all} comparisons say so."),
        (_, 0, _) => format!("No gap is shown; in {unclear} of {all} comparisons there are too few to rule one out."),
        _ => format!("There is a gap: in {gaps} of {all} comparisons."),
    }
}

/// What can be said of each group beside the largest, a sentence each. `comparisons` is how many there are in the whole report.
pub(super) fn statements(about: &About, answer: &Answer, settings: &Settings, comparisons: usize) -> Vec<String> {
    let few: Vec<&str> = answer
        .groups
        .iter()
        .filter(|group| group.waits > 0 && !group.enough)
        .map(|group| group.name.as_str())
        .collect();
    let mut statements: Vec<String> = answer
        .comparisons
        .iter()
        .map(|comparison| statement(about, answer, comparison, settings, comparisons))
        .collect();
    let needed = format!("{} items are needed, {} of them over", settings.waits_min, settings.ended_min);
    if answer.comparisons.is_empty() {
        statements.push(format!("Too few to compare: in two groups at least {needed}."));
    } else if !few.is_empty() {
        statements.push(format!("Not compared, since {needed}: {}.", few.join(", ")));
    }
    statements
}

fn statement(
    about: &About,
    answer: &Answer,
    comparison: &Comparison,
    settings: &Settings,
    comparisons: usize,
) -> String {
    let name = |place: usize| {
        let name = &answer.groups[place].name;
        if about.by == "reach" {
            format!("those of {name} reach")
        } else {
            format!("those who write {}", language_in_words(name))
        }
    };
    let (group, reference) = (name(comparison.group), name(comparison.reference));
    let done = if about.wait == "response" { "answered" } else { "taken up" };
    let sure = settings.confidence * 100.0;
    let size = match (&comparison.hazard_ratio, comparison.interval) {
        (Some(ratio), Some((low, high))) => format!(
            "of those who still wait, {:.2} times as many are {done} at any moment ({sure:.0} % sure: {low:.2} to {high:.2}; {} with \
             all {comparisons} comparisons in mind)",
            ratio.ratio(),
            p_value(comparison.p_adjusted)
        ),
        _ => format!("all of one before the other ({})", p_value(comparison.p_adjusted)),
    };
    let medians = match (answer.groups[comparison.group].median.ms, answer.groups[comparison.reference].median.ms) {
        (Some(one), Some(two)) => format!("; half of them within {}, beside {}", length(one), length(two)),
        _ => String::new(),
    };
    match comparison.verdict {
        Verdict::Later => format!("GAP: {group} are {done} later than {reference}: {size}{medians}."),
        Verdict::Sooner => format!("GAP: {group} are {done} sooner than {reference}: {size}{medians}."),
        Verdict::Alike => {
            let most = (settings.ratio_max - 1.0) * 100.0;
            format!("No gap above {most:.0} % between {group} and {reference}: {size}{medians}.")
        }
        Verdict::Unclear => format!("No gap is shown between {group} and {reference}, nor ruled out: {size}{medians}."),
    }
}

fn language_in_words(tag: &str) -> &str {
    match tag {
        "id" => "Indonesian",
        "en" => "English",
        "jv" => "Javanese",
        "su" => "Sundanese",
        "other" => "another language",
        unknown => unknown,
    }
}

fn p_value(p: f64) -> String {
    if p < 0.0001 { "p < 0.0001".to_owned() } else { format!("p = {p:.4}") }
}

/// The figures of all groups.
pub(super) fn table(answer: &Answer) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING).set_content_arrangement(ContentArrangement::Dynamic);
    table.set_header(["group", "items", "over", "half within", "95 % sure", "rate", "p (one)"]);
    for (place, group) in answer.groups.iter().enumerate().filter(|(_, group)| group.waits > 0) {
        let beside = answer.comparisons.iter().find(|comparison| comparison.group == place);
        let is_reference = answer.comparisons.iter().any(|comparison| comparison.reference == place);
        let rate = match beside {
            Some(comparison) => comparison.hazard_ratio.map_or("-".to_owned(), |ratio| format!("{:.2}", ratio.ratio())),
            None if is_reference => "1".to_owned(),
            None => "-".to_owned(),
        };
        let Median { ms, low_ms, high_ms } = group.median;
        let time = |ms: Option<i64>| ms.map_or("?".to_owned(), length);
        table.add_row([
            group.name.clone(),
            group.waits.to_string(),
            group.ended.to_string(),
            ms.map_or("not half yet".to_owned(), length),
            format!("{} to {}", time(low_ms), time(high_ms)),
            rate,
            beside
                .map_or("-".to_owned(), |comparison| p_value(comparison.test.p).replace("p = ", "").replace("p ", "")),
        ]);
    }
    table
}

#[cfg(test)]
mod tests {
    use fairness::{Question, Wait, report};

    use super::*;

    const ABOUT: About = About { wait: "response", by: "reach" };

    /// So many of each group, every second answered after as many minutes as it has of its kind before it, times `slow`.
    fn answer(sizes: [i64; 2], slow: i64) -> Answer {
        let waits = sizes.into_iter().enumerate().flat_map(|(group, size)| {
            let pace = if group == 1 { slow } else { 1 };
            (1..=size).map(move |at| Wait { duration_ms: at * pace * 60_000, ended: at % 2 == 0, group, stratum: 0 })
        });
        let question = Question { groups: vec!["small".to_owned(), "large".to_owned()], waits: waits.collect() };
        report(&[question], &Settings::default()).remove(0)
    }

    fn first(answer: &Answer) -> String {
        statements(&ABOUT, answer, &Settings::default(), 1).remove(0)
    }

    #[test]
    fn it_is_said_whether_how_large_and_how_sure() {
        let gap = answer([200, 199], 4);
        let told = first(&gap);
        assert!(
            told.starts_with(
                "GAP: those of large reach are answered later than those of small reach: of those who still wait, 0."
            ),
            "{told}"
        );
        assert!(
            told.contains("(95 % sure: 0.") && told.contains("p < 0.0001 with all 1 comparisons in mind"),
            "{told}"
        );
        assert!(told.contains("; half of them within "), "{told}");
        assert_eq!(overall(std::slice::from_ref(&gap)), "There is a gap: in 1 of 1 comparisons.");
        let alike = answer([2_000, 1_999], 1);
        assert!(
            first(&alike).starts_with("No gap above 25 % between those of large reach and those of small reach: "),
            "{}",
            first(&alike)
        );
        assert_eq!(overall(&[alike]), "There is no gap: 1 of 1 comparisons say so.");
        let unclear = answer([30, 29], 1);
        assert!(first(&unclear).contains(", nor ruled out: "), "{}", first(&unclear));
        assert!(overall(&[unclear]).starts_with("No gap is shown; in 1 of 1"));
    }

    #[test]
    fn of_too_few_nothing_is_said() {
        let few = answer([200, 19], 4);
        assert_eq!(first(&few), "Too few to compare: in two groups at least 20 items are needed, 10 of them over.");
        assert_eq!(overall(std::slice::from_ref(&few)), "Too few to tell whether there is a gap.");
        let shown = table(&few).to_string();
        assert!(shown.contains("large") && shown.contains("19"), "{shown}");
    }
}
