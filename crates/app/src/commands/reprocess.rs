//! `sinyal reprocess`: everything anew from the raw topics, into topics of another generation, beside what runs.

use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use indicatif::{ProgressBar, ProgressStyle};
use kafka_io::acl::Operation;
use kafka_io::admin::Admin;
use kafka_io::feed::Feed;
use kafka_io::group::{Group, Marked};
use kafka_io::reader::{Reader, Start};
use kafka_io::{Shutdown, SystemClock};
use record::{Outcome, Position};
use signal_hook::consts::{SIGINT, SIGTERM};
use wire::SchemaName;

use super::topics::make_topics;
use super::waiting::wait_for_brokers;
use crate::cli::{FAILURE, OK, OutsideError, PanickedError};
use crate::communities;
use crate::config::{Config, ConfigErrors};
use crate::reload::LiveRules;
use crate::roles::{
    ClassifyReport, CommunityReport, Reached, RoleResult, Surroundings, encoder, run_classify, run_community,
};
use crate::telemetry::{Health, Metrics, start_logging};

/// Arguments of `sinyal reprocess`.
#[derive(Debug, clap::Args)]
pub(crate) struct ReprocessArgs {
    /// The generation to rebuild into, e.g. g2: its topics are made, and named as `topics.generation` says.
    #[arg(long, value_name = "NAME")]
    pub(crate) generation: String,
    /// When everything is rebuilt go on with what comes in, until Ctrl-C or SIGTERM: then there is little left to catch up with
    /// after the cut-over.
    #[arg(long)]
    follow: bool,
}

/// How often to look how far it is.
const LOOK_EVERY: Duration = Duration::from_millis(200);
const ASK_TIMEOUT: Duration = Duration::from_secs(10);
/// How long nothing may come of a topic that is not read to its end.
const QUIET_MAX: Duration = Duration::from_secs(60);
/// How much later than its session brokers may notice that a member is gone.
const SESSION_GRACE: Duration = Duration::from_secs(3);
/// Noted with the positions up to which a finished rebuild has read.
const REBUILT: &str = "rebuilt";

/// A role at work on a thread of its own.
struct Running {
    shutdown: Shutdown,
    thread: JoinHandle<RoleResult<()>>,
}

impl Running {
    fn start(
        name: &str,
        shutdown: Shutdown,
        work: impl FnOnce() -> RoleResult<()> + Send + 'static,
    ) -> Result<Running> {
        let thread = std::thread::Builder::new().name(name.to_owned()).spawn(work)?;
        Ok(Running { shutdown, thread })
    }

    /// Has it commit what is done, and come to its end.
    fn end(self) -> Result<()> {
        self.shutdown.request();
        self.thread.join().map_err(|_| PanickedError("a role".to_owned()))?.map_err(Into::into)
    }
}

/// `now` is what runs, `next` the same in the new generation.
pub(crate) fn run(args: &ReprocessArgs, now: &Config, mut next: Config) -> Result<u8> {
    if now.generation == next.generation {
        let right = "the name of another one is right";
        return Err(
            ConfigErrors(vec![format!("--generation is {:?}, which is in use; {right}", next.generation)]).into()
        );
    }
    start_logging("warn", &next.log_format)?;
    let ending = Arc::new(AtomicBool::new(false));
    for signal in [SIGTERM, SIGINT] {
        signal_hook::flag::register_conditional_shutdown(signal, 1, Arc::clone(&ending))?;
        signal_hook::flag::register(signal, Arc::clone(&ending))?;
    }
    let known = wait_for_brokers(now)?;
    for topic in [&now.topics.posts_raw, &now.topics.comments_raw] {
        if !known.iter().any(|known| known.name == *topic) {
            let bootstrap = &now.connection().bootstrap;
            let admin = Admin::new(now.connection(), ASK_TIMEOUT)?;
            if let Some(error) = admin.hidden(topic, Operation::Read) {
                return Err(error.into());
            }
            return Err(OutsideError(format!(
                "raw topic {topic} is missing at {bootstrap}: there is nothing to rebuild from"
            ))
            .into());
        }
    }
    check_schemas(&next)?;
    // It is a member beside nobody, and is to be forgotten when it ends.
    next.instance_lasts = false;
    if !wait_until_unused(&next, &ending)? {
        return Ok(FAILURE);
    }
    let admin = Admin::new(now.connection(), ASK_TIMEOUT)?;
    make_topics(&admin, &next)?;
    let raw = [next.topics.posts_raw.clone(), next.topics.comments_raw.clone()];
    let raw = raw.each_ref().map(String::as_str);
    let readers = Group::new(now.connection(), &next.classify.group_id, ASK_TIMEOUT)?;
    let has_state = ends(&admin, &[&next.topics.changelog])?.values().any(|(_, next)| *next > 0);
    say_how_it_stands(&next.generation, readers.marked(&raw, REBUILT)?, has_state);
    let (there, not_there): (Vec<_>, Vec<_>) =
        said(now, &next).partition(|(from, _)| known.iter().any(|known| known.name == **from));
    // What this user may not know of is not missing: what people said would be left out in silence.
    if let Some(error) = not_there.iter().find_map(|(from, _)| admin.hidden(from, Operation::Read)) {
        return Err(error.into());
    }
    let said: Vec<(String, String)> = there.into_iter().map(|(from, to)| (from.to_owned(), to.to_owned())).collect();
    let copied = copy_said(now, &next, &said, &ending)?;
    // They are all there before what they are of: each of them waits for it.
    next.community.parked_max = next.community.parked_max.max(copied);
    let begun = Instant::now();
    let copy_again = |next: &Config| {
        // What people said meanwhile.
        copy_said(now, next, &said, &AtomicBool::new(false)).map(|_| ())
    };
    let rebuilt = rebuild(args, &admin, next, &ending, &copy_again)?;
    let Some(Rebuilt { generation, classified, aggregated }) = rebuilt else {
        eprintln!("ended before everything was rebuilt; the same command goes on where this ended");
        return Ok(FAILURE);
    };
    if let Err(error) = readers.mark(&raw, REBUILT, ASK_TIMEOUT) {
        eprintln!("that it is rebuilt could not be noted, so the next start will not know: {error}");
    }
    let count = |outcome| aggregated.ledger.count(outcome);
    eprintln!(
        "generation {generation} is rebuilt. This time: {} raw records read, {} interactions counted, {} late, {} dead letters, {} \
         corrections and actions copied, {} panes, in {:.0} s",
        classified.ledger.consumed(),
        count(Outcome::Applied),
        count(Outcome::Late),
        classified.dead_letters + aggregated.dead_letters,
        copied,
        aggregated.panes,
        begun.elapsed().as_secs_f64()
    );
    eprintln!(
        "to cut over: stop `sinyal run`, run this once more for what has come meanwhile, set topics.generation = \"{generation}\" \
         and start it again; it goes on where this ended. Whoever writes corrections or actions, or reads the outputs has to change over to its \
         topics too. Then those of the old generation can be deleted"
    );
    Ok(OK)
}

/// Waits until nobody works on the generation; false if the end is asked for before. Whoever was killed is in its group for as long
/// as a session lasts; who is there for longer lives.
fn wait_until_unused(next: &Config, ending: &AtomicBool) -> Result<bool> {
    let begun = Instant::now();
    let session = Duration::from_millis(u64::from(next.kafka.session_timeout_ms));
    let mut told = false;
    for id in [&next.classify.group_id, &next.community.group_id] {
        let group = Group::new(next.connection(), id, ASK_TIMEOUT)?;
        loop {
            let members = group.members()?;
            if members.is_empty() {
                break;
            }
            let generation = &next.generation;
            if begun.elapsed() > session + SESSION_GRACE {
                return Err(OutsideError(format!(
                    "generation {generation} is in use: somebody is in its consumer group {id} ({}). End the `sinyal run` or \
                     `sinyal reprocess` that works on it first, or name another generation",
                    members.join(", ")
                ))
                .into());
            }
            if !told {
                told = true;
                eprintln!(
                    "somebody is in consumer group {id} of generation {generation}, or was killed a moment ago: waiting up to {} s \
                     for the end of a session",
                    (session + SESSION_GRACE).as_secs()
                );
            }
            if ending.load(Ordering::Acquire) {
                return Ok(false);
            }
            std::thread::sleep(LOOK_EVERY);
        }
    }
    Ok(true)
}

fn say_how_it_stands(generation: &str, marked: Marked, has_state: bool) {
    match marked {
        Marked::All => {
            eprintln!("generation {generation} was rebuilt to its end before: going on with what has come since");
        }
        Marked::NotAll => eprintln!(
            "generation {generation} was begun before and not finished, or the service has worked on it: going on from where that \
             ended; to rebuild from the beginning, name another one"
        ),
        // Brokers forget the positions of a group that nobody has been in for long.
        Marked::Nothing if has_state => eprintln!(
            "generation {generation} was begun before, and its positions are forgotten: reading from the beginning, beside what it \
             knows; to rebuild from the beginning, name another one"
        ),
        Marked::Nothing => {}
    }
}

struct Rebuilt {
    generation: String,
    classified: ClassifyReport,
    aggregated: CommunityReport,
}

/// Runs both roles until everything that was there has been read; nothing if the end is asked for before.
fn rebuild(
    args: &ReprocessArgs,
    admin: &Admin,
    next: Config,
    ending: &AtomicBool,
    copy_said: &dyn Fn(&Config) -> Result<()>,
) -> Result<Option<Rebuilt>> {
    let generation = next.generation.clone();
    let raw = ends(admin, &[&next.topics.posts_raw, &next.topics.comments_raw])?;
    let stages = [next.topics.classified.clone(), next.topics.corrections.clone(), next.topics.actions.clone()];
    // Nothing is served: the service itself is at that address, and what is measured here is not what it does.
    let health = Health::new(Duration::from_millis(next.alive_ms));
    let (metrics, shutdown) = (Metrics::new(), Shutdown::default());
    let rules = LiveRules::new(&next);
    if next.communities_topic.is_some() && !communities::keep(&next, &rules.communities, &metrics, &shutdown, ending)? {
        return Ok(None);
    }
    let next = Arc::new(next);
    let surroundings = Surroundings {
        connection: next.kafka.connection.clone(),
        config: Arc::clone(&next),
        clock: Arc::new(SystemClock),
        health,
        metrics,
        shutdown,
        rules,
        traces: None,
        embedded: false,
    };
    let classified = Arc::new(Mutex::new(ClassifyReport::default()));
    let aggregated = Arc::new(Mutex::new(CommunityReport::default()));
    // Each is ended by itself: the first has committed everything before the end of what the second has to read is known.
    let of_community = Surroundings { shutdown: Shutdown::default(), ..surroundings.clone() };
    let (first_ends, second_ends) = (surroundings.shutdown.clone(), of_community.shutdown.clone());
    let classify = run_classify(surroundings, Arc::clone(&classified))?;
    let community = run_community(of_community, Arc::clone(&aggregated))?;
    let classify = Running::start("classify", first_ends, classify)?;
    let community = Running::start("community", second_ends, community)?;
    let roles = [&classify, &community];
    let reached = || classified.lock().map(|report| report.reached.clone()).unwrap_or_default();
    let mut done = wait_until_read("raw records", &raw, &roles, ending, reached)?;
    if done && args.follow {
        eprintln!("everything that was there is read; going on with what comes in, until Ctrl-C");
        while !ending.load(Ordering::Acquire) && roles.iter().all(|role| !role.thread.is_finished()) {
            std::thread::sleep(LOOK_EVERY);
        }
    }
    classify.end()?;
    if done {
        copy_said(&next)?;
        let stages = ends(admin, &stages.each_ref().map(String::as_str))?;
        let reached = || aggregated.lock().map(|report| report.reached.clone()).unwrap_or_default();
        // With --follow the end was asked for already; what is left takes a moment.
        let asked = AtomicBool::new(false);
        let ending = if args.follow { &asked } else { ending };
        done = wait_until_read("classified records", &stages, &[&community], ending, reached)?;
    }
    community.end()?;
    let classified = classified.lock().map(|report| report.clone()).unwrap_or_default();
    let aggregated = aggregated.lock().map(|report| report.clone()).unwrap_or_default();
    Ok(done.then_some(Rebuilt { generation, classified, aggregated }))
}

/// The first and the next offset of every partition of these topics.
fn ends(admin: &Admin, topics: &[&str]) -> Result<BTreeMap<(String, i32), (Position, Position)>> {
    let (known, _) = admin.topics()?;
    let mut ends = BTreeMap::new();
    for topic in topics {
        let info = known.iter().find(|known| known.name == *topic).with_context(|| format!("topic {topic} is gone"))?;
        for partition in 0..info.partitions {
            ends.insert(((*topic).to_owned(), partition), admin.offsets(topic, partition)?);
        }
    }
    Ok(ends)
}

/// Waits until all of it is read; false if the end is asked for before.
fn wait_until_read(
    what: &str,
    ends: &BTreeMap<(String, i32), (Position, Position)>,
    roles: &[&Running],
    ending: &AtomicBool,
    reached: impl Fn() -> Reached,
) -> Result<bool> {
    let all: Position = ends.values().map(|(first, next)| next - first).sum();
    let bar = bar(what, all);
    let mut said = Instant::now();
    loop {
        let reached = reached();
        let read = |(at, (first, next)): (&(String, i32), &(Position, Position))| {
            reached.get(at).map_or(0, |reached| (*reached).clamp(*first, *next) - first)
        };
        let done: Position = ends.iter().map(read).sum();
        bar.set_position(u64::try_from(done).unwrap_or(0));
        if bar.is_hidden() && said.elapsed() > Duration::from_secs(5) {
            said = Instant::now();
            eprintln!("{what}: {done} of {all}");
        }
        if ends.iter().all(|(at, (_, next))| reached.get(at).is_some_and(|reached| reached >= next)) {
            bar.finish_and_clear();
            return Ok(true);
        }
        if ending.load(Ordering::Acquire) {
            bar.finish_and_clear();
            return Ok(false);
        }
        if roles.iter().any(|role| role.thread.is_finished()) {
            // Why, is told by its end.
            bar.finish_and_clear();
            return Ok(false);
        }
        std::thread::sleep(LOOK_EVERY);
    }
}

fn bar(what: &str, all: Position) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new(u64::try_from(all).unwrap_or(0));
    let template = "{msg} {bar:40} {human_pos} of {human_len}  {per_sec}  {eta} left";
    bar.set_style(ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar.set_message(what.to_owned());
    bar
}

/// Checks that the registry has the schemas of the new topics, before anything is made.
fn check_schemas(next: &Config) -> Result<()> {
    let topics = &next.topics;
    let schemas = [
        (SchemaName::Classified, &topics.classified),
        (SchemaName::CommunityMetrics, &topics.metrics),
        (SchemaName::QueueItem, &topics.queue_state),
        (SchemaName::Alert, &topics.alerts),
        (SchemaName::Correction, &topics.corrections),
        (SchemaName::Action, &topics.actions),
    ];
    for (schema, topic) in schemas {
        encoder(next, schema, topic).with_context(|| {
            format!(
                "the schemas of the new topics come first: SINYAL__TOPICS__GENERATION={} sinyal schemas register",
                next.generation
            )
        })?;
    }
    Ok(())
}

/// The topics of what people say, and what they are called in the next generation.
fn said<'a>(now: &'a Config, next: &'a Config) -> impl Iterator<Item = (&'a str, &'a str)> {
    let of = |config: &'a Config| [config.topics.corrections.as_str(), config.topics.actions.as_str()];
    of(now).into_iter().zip(of(next))
}

/// Copies corrections and actions from the old generation's topics into the new one's; gives how many. One that is there twice says
/// the same twice.
fn copy_said(now: &Config, next: &Config, topics: &[(String, String)], ending: &AtomicBool) -> Result<usize> {
    let feed = Feed::open(next.connection(), next.raw_record_bytes_max)?;
    let mut copied = 0;
    for (from, to) in topics {
        let mut reader = Reader::open(now.connection(), from, Start::Beginning, ASK_TIMEOUT)?;
        let mut quiet_since = Instant::now();
        while !reader.is_at_end() && !ending.load(Ordering::Acquire) {
            let Some(record) = reader.next(Duration::from_millis(100))? else {
                if quiet_since.elapsed() > QUIET_MAX {
                    let detail = format!("topic {from} cannot be read to its end; no broker tells of more");
                    return Err(OutsideError(detail).into());
                }
                continue;
            };
            quiet_since = Instant::now();
            feed.send(to, record.key.as_deref(), record.value.as_deref(), record.timestamp)?;
            copied += 1;
        }
    }
    feed.flush(Duration::from_secs(60))?;
    if feed.is_unauthorized() {
        let why = feed.first_failure().unwrap_or_default();
        return Err(OutsideError(format!("not authorised: {why}")).into());
    }
    if feed.failed() > 0 {
        bail!("not all was taken by the brokers: {}", feed.first_failure().unwrap_or_default());
    }
    Ok(copied)
}
