//! `sinyal dlq list|show|redrive`: what could not be used, and giving it another try.

mod letter;
mod list;
mod redrive;
mod show;

use anyhow::Result;
use clap::builder::PossibleValuesParser;
use record::{EpochMs, Reason};

use self::letter::Letter;
use super::times::{Moment, moment};
use crate::config::Config;

/// Arguments of `sinyal dlq`.
#[derive(Debug, clap::Args)]
pub(crate) struct DlqArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Which dead letters there are, the newest first; none of their content is shown.
    #[command(after_help = "\
Examples:
  sinyal dlq list --group                           how many, by reason, stage and topic of origin
  sinyal dlq list --reason unknown_schema --since 2h
  sinyal dlq list --topic social.posts.raw --json")]
    List(list::ListArgs),
    /// Everything about one dead letter; its bytes only with --raw.
    #[command(after_help = "\
Examples:
  sinyal dlq show 0:17
  sinyal dlq show 0:17 --raw > record.bin           its value, byte for byte")]
    Show(show::ShowArgs),
    /// Send dead letters back to where they came from. Without --execute it only says what it would do.
    ///
    /// The original key, bytes and headers go back to the topic of origin, with headers that say what was redriven and how often.
    /// Without --reason or --disposition only those of disposition `redrive` are meant: the others fail again unless something is
    /// changed first. What was redriven before is passed over. At least once: after a crash some may be sent again, which the
    /// stages recognise.
    #[command(after_help = "\
Examples:
  sinyal dlq redrive --reason unknown_schema        what would be done
  sinyal dlq redrive --reason unknown_schema --execute --rate 50
  sinyal dlq redrive --disposition fix --since 1d --execute")]
    Redrive(redrive::RedriveArgs),
}

pub(crate) fn run(args: DlqArgs, config: &Config) -> Result<u8> {
    match args.command {
        Command::List(args) => list::run(&args, config),
        Command::Show(args) => show::run(&args, config),
        Command::Redrive(args) => redrive::run(&args, config),
    }
}

/// Which dead letters.
#[derive(Debug, Default, clap::Args)]
struct Filter {
    /// Only of these reasons, by commas.
    #[arg(long, value_delimiter = ',', value_parser = PossibleValuesParser::new(Reason::ALL.map(Reason::as_str)))]
    reason: Vec<String>,
    /// Only those that this stage refused.
    #[arg(long, value_parser = ["classify", "community", "notify"])]
    stage: Option<String>,
    /// Only of these dispositions, by commas.
    #[arg(long, value_delimiter = ',', value_parser = ["redrive", "fix", "inspect"])]
    disposition: Vec<String>,
    /// Only what was read from this topic.
    #[arg(long)]
    topic: Option<String>,
    /// Only those written since then: a time (RFC 3339), or so long ago, as 2h.
    #[arg(long, value_name = "WHEN", value_parser = moment)]
    since: Option<Moment>,
    /// Only those written before then.
    #[arg(long, value_name = "WHEN", value_parser = moment)]
    until: Option<Moment>,
}

impl Filter {
    fn takes(&self, letter: &Letter, now: EpochMs) -> bool {
        let listed = |wanted: &[String], found: &str| wanted.is_empty() || wanted.iter().any(|wanted| wanted == found);
        let is = |wanted: &Option<String>, found: &str| wanted.as_ref().is_none_or(|wanted| wanted == found);
        let written = letter.written_at.unwrap_or(now);
        listed(&self.reason, &letter.reason)
            && listed(&self.disposition, &letter.disposition)
            && is(&self.stage, &letter.stage)
            && is(&self.topic, letter.origin_topic())
            && self.since.is_none_or(|since| written >= since.ms(now))
            && self.until.is_none_or(|until| written < until.ms(now))
    }
}

#[cfg(test)]
mod tests {
    use super::letter::tests::{letter, record};
    use super::*;

    #[test]
    fn every_stage_can_be_asked_for() {
        use clap::Parser;
        use record::StageName;
        #[derive(Debug, Parser)]
        struct Typed {
            #[command(flatten)]
            filter: Filter,
        }
        for stage in [StageName::Classify, StageName::Community, StageName::Notify].map(StageName::as_str) {
            let typed = Typed::try_parse_from(["dlq", "--stage", stage]).unwrap();
            assert_eq!(typed.filter.stage.as_deref(), Some(stage));
        }
    }

    #[test]
    fn filters_take_what_they_say() {
        let takes = |filter: Filter| filter.takes(&letter(&record()), 10_000);
        assert!(takes(Filter::default()));
        let reason = |name: &str| Filter { reason: vec![name.to_owned()], ..Filter::default() };
        assert!(takes(reason("unknown_schema")) && !takes(reason("malformed")));
        assert!(!takes(Filter { stage: Some("community".to_owned()), ..Filter::default() }));
        assert!(!takes(Filter { disposition: vec!["fix".to_owned()], ..Filter::default() }));
        assert!(takes(Filter { topic: Some("posts".to_owned()), ..Filter::default() }));
        assert!(!takes(Filter { topic: Some("comments".to_owned()), ..Filter::default() }));
        // Written at 7,000.
        assert!(takes(Filter { since: Some(Moment::Ago(3_000)), ..Filter::default() }));
        assert!(!takes(Filter { since: Some(Moment::At(7_001)), ..Filter::default() }));
        assert!(!takes(Filter { until: Some(Moment::At(7_000)), ..Filter::default() }));
    }
}
