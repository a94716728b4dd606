//! Rules that can be replaced while they are in use.

use std::sync::{Arc, PoisonError, RwLock};

/// What is in use now, shared by those who read it and the one who replaces it.
///
/// ```
/// use rules::{Communities, LiveCommunities};
/// let live = LiveCommunities::default();
/// let stage = live.clone();
/// live.replace(Communities::standard());
/// assert!(stage.current().is_empty());
/// ```
#[derive(Debug)]
pub struct Live<T>(Arc<RwLock<Arc<T>>>);

impl<T> Live<T> {
    /// One that begins with this.
    pub fn new(rules: T) -> Live<T> {
        Live(Arc::new(RwLock::new(Arc::new(rules))))
    }

    /// What is in use now; to be kept for a while, not asked for per record.
    pub fn current(&self) -> Arc<T> {
        // What the lock guards is whole at any time, also after a panic.
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Puts another in its place.
    pub fn replace(&self, rules: T) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(rules);
    }
}

/// The same one, not another: whoever has a clone sees what is replaced.
impl<T> Clone for Live<T> {
    fn clone(&self) -> Live<T> {
        Live(Arc::clone(&self.0))
    }
}
