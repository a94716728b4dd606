//! A new registry without a restart: on SIGHUP, and when the file changes.

use std::path::Path;

use anyhow::Result;
use kafka_io::Shutdown;
use rules::LiveCommunities;

use super::file::{Typed, read};
use crate::telemetry::Metrics;
use crate::watched::{Watched, keep_looking};

/// Most mistakes of one file that are logged one by one.
pub(super) const LOGGED_MISTAKES: usize = 20;

/// What a look at the file came to.
#[derive(Debug, PartialEq, Eq)]
enum Look {
    Unchanged,
    Taken { communities: usize },
    Refused(Vec<String>),
}

/// The file and the registry that it becomes.
struct Watcher {
    file: Watched,
    live: LiveCommunities,
}

impl Watcher {
    /// Reads the file if it has changed, or if asked for anyway. One with a mistake is refused whole: what was there stays.
    fn look(&mut self, asked: bool) -> Look {
        if !self.file.changed() && !asked {
            return Look::Unchanged;
        }
        match read(self.file.path()) {
            Ok(Typed { registry, .. }) => {
                let listed = registry.len();
                self.live.replace(registry);
                Look::Taken { communities: listed }
            }
            Err(mistakes) => Look::Refused(mistakes),
        }
    }
}

/// Keeps the registry as its file is, on a thread of its own, until the shutdown.
///
/// # Errors
/// If the signal or the thread cannot be had.
pub(crate) fn watch(file: &Path, live: &LiveCommunities, metrics: &Metrics, shutdown: &Shutdown) -> Result<()> {
    let mut watcher = Watcher { file: Watched::new(file), live: live.clone() };
    let metrics = metrics.clone();
    metrics.reloads().communities_listed(live.current().len());
    keep_looking("communities", shutdown, move |first, asked| {
        let before = watcher.live.current();
        let look = watcher.look(asked);
        // What was read a moment ago is no news.
        let is_known = first && *before == *watcher.live.current();
        tell(&look, watcher.file.path(), is_known, &metrics);
    })
}

fn tell(look: &Look, file: &Path, is_known: bool, metrics: &Metrics) {
    let file = file.display();
    match look {
        Look::Unchanged => {}
        Look::Taken { communities } => {
            metrics.reloads().communities_listed(*communities);
            if !is_known {
                metrics.reloads().communities(true);
                tracing::info!(%file, communities, "the community registry was read anew");
            }
        }
        Look::Refused(mistakes) => {
            metrics.reloads().communities(false);
            for mistake in mistakes.iter().take(LOGGED_MISTAKES) {
                tracing::error!(mistake, "in the community registry");
            }
            tracing::error!(
                %file,
                mistakes = mistakes.len(),
                "the community registry was not read anew; the one before stays. `sinyal communities check FILE` tells more"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::SystemTime;

    use super::*;

    const RIGHT: &str = "[[communities]]\nid = \"a\"\n";

    fn watcher(text: &str) -> (tempfile::TempDir, Watcher) {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("communities.toml");
        std::fs::write(&file, text).unwrap();
        (folder, Watcher { file: Watched::new(&file), live: LiveCommunities::default() })
    }

    #[test]
    fn a_file_is_taken_in_when_it_changes_and_only_then() {
        let (_folder, mut watcher) = watcher(RIGHT);
        let stage = watcher.live.clone();
        assert_eq!(watcher.look(false), Look::Taken { communities: 1 });
        let before = stage.current();
        assert_eq!(watcher.look(false), Look::Unchanged);
        assert!(Arc::ptr_eq(&before, &stage.current()));
        assert_eq!(watcher.look(true), Look::Taken { communities: 1 }, "asked by a signal");
        std::fs::write(watcher.file.path(), format!("{RIGHT}[[communities]]\nid = \"b\"\n")).unwrap();
        assert_eq!(watcher.look(false), Look::Taken { communities: 2 });
        assert!(stage.current().listed("b").is_some() && before.listed("b").is_none());
    }

    #[test]
    fn a_file_with_a_mistake_is_refused_whole_and_once() {
        let (_folder, mut watcher) = watcher(RIGHT);
        watcher.look(false);
        std::fs::write(
            watcher.file.path(),
            "[[communities]]\nid = \"b\"\n[[communities]]\nid = \"c\"\ntime_zone = \"Mars\"\n",
        )
        .unwrap();
        let Look::Refused(mistakes) = watcher.look(false) else { panic!("it was taken") };
        assert!(mistakes.len() == 1 && mistakes[0].contains("communities[1].time_zone is \"Mars\""), "{mistakes:?}");
        let current = watcher.live.current();
        assert!(current.listed("a").is_some() && current.listed("b").is_none());
        assert_eq!(watcher.look(false), Look::Unchanged);
        std::fs::remove_file(watcher.file.path()).unwrap();
        assert!(matches!(watcher.look(false), Look::Refused(_)));
        assert_eq!(watcher.look(false), Look::Unchanged);
        std::fs::write(watcher.file.path(), RIGHT).unwrap();
        assert_eq!(watcher.look(false), Look::Taken { communities: 1 });
    }

    /// As a ConfigMap is replaced: a link that points elsewhere from one moment to the next, to a file as old and as long.
    #[test]
    fn a_file_put_in_place_of_another_is_a_change() {
        let (folder, mut watcher) = watcher(RIGHT);
        let written = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).unwrap();
            std::fs::File::open(&path).unwrap().set_modified(SystemTime::UNIX_EPOCH).unwrap();
            path
        };
        let (one, two) = (written("one", RIGHT), written("two", "[[communities]]\nid = \"z\"\n"));
        std::fs::remove_file(watcher.file.path()).unwrap();
        std::os::unix::fs::symlink(&one, watcher.file.path()).unwrap();
        assert_eq!(watcher.look(false), Look::Taken { communities: 1 });
        std::fs::remove_file(watcher.file.path()).unwrap();
        std::os::unix::fs::symlink(&two, watcher.file.path()).unwrap();
        assert_eq!(watcher.look(false), Look::Taken { communities: 1 });
        assert!(watcher.live.current().listed("z").is_some());
    }
}
