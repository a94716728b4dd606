//! What the hot path asks of this crate for each record allocates nothing.
#![allow(clippy::unwrap_used, unsafe_code)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use record::{Author, ContentKind, Direction, Interaction, Kind, Label, Language, Role};
use rules::{
    Communities, CommunitySpec, Conditions, Routable, Routed, Routing, RuleSpec, Sla, SlaClock, Standing, priority_of,
};

struct Counting;

thread_local! {
    /// Of this thread alone: the test runner works on others.
    static COUNT: Cell<u64> = const { Cell::new(0) };
}

// SAFETY: everything is handed to the system's allocator; counting changes nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let _ = COUNT.try_with(|count| count.set(count.get() + 1));
        // SAFETY: the caller's promises are handed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's promises are handed on.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn communities() -> Communities {
    let specs: Vec<CommunitySpec> = (0..100)
        .map(|number| CommunitySpec {
            id: format!("warga-{number}"),
            brand_accounts: Some(vec![format!("{number}"), format!("@brand{number}")]),
            ..CommunitySpec::default()
        })
        .collect();
    Communities::new(&CommunitySpec::default(), &specs).unwrap()
}

fn routing() -> Routing {
    let rules = (0..50).map(|number| RuleSpec {
        name: format!("rule {number}"),
        when: Conditions { communities: [format!("warga-{number}")].into(), ..Conditions::default() },
        queue: "review".to_owned(),
        department: None,
        sla: Sla::new(240, SlaClock::Business),
    });
    Routing::standard().with_rules(rules.collect()).unwrap()
}

#[test]
fn a_record_costs_no_allocation() {
    let (communities, routing) = (communities(), routing());
    let author = |id: &'static str, handle: Option<&'static str>| {
        Some(Author {
            id: id.into(),
            handle: handle.map(Into::into),
            role: Role::Member,
            followers: None,
            verified: None,
        })
    };
    let mut interaction = Interaction {
        kind: Kind::Comment,
        id: "1".into(),
        community_id: "warga-49".into(),
        author: author("u-1", Some("@Somebody")),
        created_at: 1_795_770_000_000,
        observed_at: 0,
        edited_at: None,
        deleted: false,
        text: "".into(),
        media: Vec::new(),
        url: None,
        language_hint: None,
        post_id: Some("p".into()),
        parent_id: None,
        post_author: author("9", Some("BRAND49")),
        parent_author: None,
        mentions: Vec::new(),
    };
    let routable = Routable {
        label: Label::Complaint,
        confidence: 0.8,
        abstained: false,
        language: Language::Indonesian,
        community_id: "warga-49",
        direction: Direction::MemberToBrand,
        content_kinds: [ContentKind::Text].into_iter().collect(),
        author_role: Role::Member,
        deleted: false,
    };
    let mut one = |at: i64| {
        communities.name_the_brand(&mut interaction);
        let Routed::Queue(route) = routing.route(&routable) else { panic!("not queued") };
        let community = communities.get("warga-49");
        let due_at = route.sla.map(|sla| community.due_at(at, sla));
        let standing = Standing {
            label: routable.label,
            abstained: false,
            created_at: at,
            due_at,
            repeated_contact: at % 2 == 0,
            unanswered_thread: true,
        };
        let priority = priority_of(&standing, at + 3_600_000);
        route.department(community).len() + route.reason().len() + priority.reasons.len() + community.hour_of_week(at)
    };
    // The lists of reasons are made once.
    one(1_795_770_000_000);
    let before = COUNT.get();
    let sum: usize = (0..10_000).map(|number| one(1_795_770_000_000 + number * 61_001)).sum();
    assert_eq!(COUNT.get() - before, 0);
    assert!(sum > 0 && interaction.post_author.unwrap().role == Role::Brand);
}
