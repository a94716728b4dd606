//! `sinyal queue list|show|claim|release|ack`: the responder's hands.

mod act;
mod list;
mod show;
mod standing;

use anyhow::Result;
use record::{Identity, Kind, decode_key};

use super::corrections::parse;
use crate::config::Config;

/// Arguments of `sinyal queue`.
#[derive(Debug, clap::Args)]
pub(crate) struct QueueArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// What waits, the most urgent first: priority as of now, then who waits longest.
    #[command(after_help = "\
Examples:
  sinyal queue list --queue complaint
  sinyal queue list --mine sari
  sinyal queue list --community warga-kota --status answered,acknowledged --json")]
    List(list::ListArgs),
    /// Everything about one item.
    #[command(after_help = "\
Examples:
  sinyal queue show 'warga-kota|comment|1742'
  sinyal queue show --community 'warga kota' --kind post --id 7 --json")]
    Show(show::ShowArgs),
    /// Take an item: nobody else works on it for so long.
    #[command(after_help = "\
Examples:
  sinyal queue claim 'warga-kota|comment|1742' --by sari --for 30m
  sinyal queue claim 'warga-kota|comment|1742' --by sari --wait    until its state shows it")]
    Claim(act::ClaimArgs),
    /// Give an item back that was claimed.
    #[command(after_help = "\
Examples:
  sinyal queue release 'warga-kota|comment|1742' --by sari")]
    Release(act::ReleaseArgs),
    /// Close an item without an answer.
    #[command(after_help = "\
Examples:
  sinyal queue ack 'warga-kota|comment|1742' --by sari --reason 'answered by phone'")]
    Ack(act::AckArgs),
}

pub(crate) fn run(args: QueueArgs, config: &Config) -> Result<u8> {
    match args.command {
        Command::List(args) => list::run(args, config),
        Command::Show(args) => show::run(args, config),
        Command::Claim(args) => act::claim(&args, config),
        Command::Release(args) => act::release(&args, config),
        Command::Ack(args) => act::acknowledge(&args, config),
    }
}

#[cfg(test)]
pub(super) use standing::tests::item as test_item;

/// Which item.
#[derive(Debug, clap::Args)]
struct Which {
    /// Its key, community|kind|id, as `queue list` prints it.
    #[arg(value_name = "KEY", value_parser = key, required_unless_present = "id", conflicts_with_all = ["community", "kind", "id"])]
    key: Option<Identity<'static>>,
    /// Instead of the key: its community.
    #[arg(long, value_name = "ID", requires = "id")]
    community: Option<String>,
    /// Its kind: post or comment.
    #[arg(long, value_parser = parse::<Kind>, requires = "id")]
    kind: Option<Kind>,
    /// Its id.
    #[arg(long, requires = "community", requires = "kind")]
    id: Option<String>,
}

impl Which {
    fn identity(&self) -> Identity<'_> {
        match (&self.key, &self.community, self.kind, &self.id) {
            (None, Some(community), Some(kind), Some(id)) => {
                Identity { community_id: community.into(), kind, id: id.into() }
            }
            (Some(key), ..) => key.clone(),
            _ => unreachable!("the command line asks for a key or for its three parts"),
        }
    }
}

/// An identity from a key; each part may be percent-encoded or not.
fn key(text: &str) -> Result<Identity<'static>, String> {
    let parts = decode_key(text).and_then(|parts| <[String; 3]>::try_from(parts).ok());
    if let Some([community_id, kind, id]) = parts
        && let Some(kind) = Kind::ALL.into_iter().find(|known| known.as_str() == kind)
        && !community_id.is_empty()
        && !id.is_empty()
    {
        return Ok(Identity { community_id: community_id.into(), kind, id: id.into() });
    }
    Err("community|post|id or community|comment|id is right, in quotation marks and as `queue list` prints it"
        .to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_read_as_they_are_printed() {
        let read = |text| key(text).map(|identity| identity.key());
        assert_eq!(read("warga%20kota|comment|1742"), Ok("warga%20kota|comment|1742".to_owned()));
        assert_eq!(read("warga kota|post|a/b"), Ok("warga%20kota|post|a%2Fb".to_owned()));
        for wrong in ["", "a|post", "a|reply|1", "|post|1", "a|post|", "a|post|1|2", "%FF|post|1"] {
            assert!(read(wrong).unwrap_err().contains("community|post|id"), "{wrong}");
        }
    }
}
