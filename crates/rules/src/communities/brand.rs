//! The accounts by which a brand speaks.

use std::fmt;

use record::Author;

/// Accounts by author id, or by handle where they begin with `@`. They are raw ids of people or firms: `Debug` shows how many
/// there are and nothing else.
///
/// ```
/// use record::{Author, Role};
/// let accounts = rules::BrandAccounts::new(["@AcmeCare", "178"]);
/// let author = |id, handle| Author { id, handle, role: Role::Unknown, followers: None, verified: None };
/// assert!(accounts.holds(&author("178".into(), None)));
/// assert!(accounts.holds(&author("9".into(), Some("acmecare".into()))));
/// assert!(!accounts.holds(&author("AcmeCare".into(), Some("178".into()))));
/// assert_eq!(format!("{accounts:?}"), "BrandAccounts(2)");
/// ```
#[derive(Clone, PartialEq, Eq, Default)]
pub struct BrandAccounts {
    /// Sorted.
    ids: Vec<Box<str>>,
    /// Without `@`, in small letters, sorted.
    handles: Vec<Box<str>>,
}

impl BrandAccounts {
    /// Accounts as they are typed: an author id, or `@` and a handle, of which letters may be large or small.
    pub fn new<'a>(accounts: impl IntoIterator<Item = &'a str>) -> BrandAccounts {
        let mut brand = BrandAccounts::default();
        for account in accounts {
            match account.strip_prefix('@') {
                Some(handle) => brand.handles.push(handle.to_ascii_lowercase().into()),
                None => brand.ids.push(account.into()),
            }
        }
        brand.ids.sort();
        brand.ids.dedup();
        brand.handles.sort();
        brand.handles.dedup();
        brand
    }

    /// Whether an author is one of them.
    pub fn holds(&self, author: &Author<'_>) -> bool {
        if self.ids.binary_search_by(|id| (**id).cmp(&*author.id)).is_ok() {
            return true;
        }
        let Some(handle) = &author.handle else { return false };
        let handle = handle.strip_prefix('@').unwrap_or(handle);
        self.handles.iter().any(|account| account.eq_ignore_ascii_case(handle))
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.ids.len() + self.handles.len()
    }

    /// True if there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl fmt::Debug for BrandAccounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BrandAccounts({})", self.len())
    }
}
