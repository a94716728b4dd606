//! How soon an item should be answered, from what was said alone.

use std::borrow::Cow;

use record::Label;

/// A priority and what makes it up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Priority {
    /// Greater is sooner, 0 to 100.
    pub value: i32,
    /// Why, from a documented list: `complaint`, `tip`, `experience`, `praise`, `other`, `unsure`.
    pub reasons: &'static [Cow<'static, str>],
}

/// The priority at which an item enters its queue. There is no parameter for who said it: the weak voice and the strong
/// one stand in the same place.
pub fn priority_of(label: Label, abstained: bool) -> Priority {
    static COMPLAINT: [Cow<'static, str>; 1] = [Cow::Borrowed("complaint")];
    static TIP: [Cow<'static, str>; 1] = [Cow::Borrowed("tip")];
    static EXPERIENCE: [Cow<'static, str>; 1] = [Cow::Borrowed("experience")];
    static PRAISE: [Cow<'static, str>; 1] = [Cow::Borrowed("praise")];
    static OTHER: [Cow<'static, str>; 1] = [Cow::Borrowed("other")];
    static UNSURE: [Cow<'static, str>; 1] = [Cow::Borrowed("unsure")];
    let (value, reasons) = match (abstained, label) {
        // Below a complaint and above the rest: it may be one.
        (true, _) => (40, &UNSURE),
        (false, Label::Complaint) => (60, &COMPLAINT),
        (false, Label::Tip) => (30, &TIP),
        (false, Label::Experience) => (20, &EXPERIENCE),
        (false, Label::Praise) => (20, &PRAISE),
        (false, Label::Other) => (0, &OTHER),
    };
    Priority { value, reasons }
}
