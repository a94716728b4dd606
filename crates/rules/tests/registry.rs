//! A community registry: what is told of one that is wrong, and what a right one says.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;

use record::{Author, Interaction, Kind, Language, Role};
use rules::{Communities, CommunitySpec, Holiday};

fn spec(id: &str) -> CommunitySpec {
    CommunitySpec { id: id.to_owned(), ..CommunitySpec::default() }
}

#[test]
fn every_mistake_is_told_at_once_with_its_place() {
    let mut hours: [Vec<String>; 7] = Default::default();
    hours[0] = vec!["08:00-17:00".to_owned(), "16:00-18:00".to_owned()];
    hours[1] = vec!["8-17".to_owned(), "17:00-08:00".to_owned(), "00:00-24:01".to_owned()];
    let holiday = |date: &str| Holiday { date: date.to_owned(), name: "libur".to_owned() };
    let wrong = CommunitySpec {
        name: Some(" ".to_owned()),
        time_zone: Some("Asia/Jakata".to_owned()),
        language: Some("fr".to_owned()),
        business_hours: Some(hours),
        holidays: Some(vec![
            holiday("2026-02-29"),
            holiday("2026-12-25"),
            holiday("2026-12-25"),
            holiday("2026-12-26T10:00"),
        ]),
        brand_accounts: Some(vec!["@".to_owned(), "rahasia".repeat(99)]),
        links: Some(BTreeMap::from([("wiki".to_owned(), "javascript:alert(1)".to_owned())])),
        ..spec("a")
    };
    let never_open = CommunitySpec { business_hours: Some(Default::default()), ..spec("b") };
    // The default's own mistake is told once, not for each that takes over from it.
    let default = CommunitySpec { time_zone: Some("Jakarta".to_owned()), ..CommunitySpec::default() };
    let mistakes = Communities::new(&default, &[wrong, never_open, spec("b"), spec(""), spec("c")]).unwrap_err();
    let told: Vec<String> = mistakes.iter().map(ToString::to_string).collect();
    assert_eq!(
        told,
        [
            "default.time_zone is \"Jakarta\"; an IANA time zone such as Asia/Jakarta is right; did you mean Asia/Jakarta?",
            "communities[0].name is \" \"; a name of 1 to 200 bytes is right",
            "communities[0].time_zone is \"Asia/Jakata\"; an IANA time zone such as Asia/Jakarta is right; did you mean \
             Asia/Jakarta?",
            "communities[0].language is \"fr\"; id, en, jv or su is right",
            "communities[0].business_hours.monday is 08:00-17:00 and 16:00-18:00, which overlap; ranges apart from each \
             other are right",
            "communities[0].business_hours.tuesday[0] is \"8-17\"; a range such as 08:00-17:00, within one day and up to \
             24:00, is right",
            "communities[0].business_hours.tuesday[1] is \"17:00-08:00\"; a range such as 08:00-17:00, within one day and up \
             to 24:00, is right",
            "communities[0].business_hours.tuesday[2] is \"00:00-24:01\"; a range such as 08:00-17:00, within one day and up \
             to 24:00, is right",
            "communities[0].holidays[0].date is \"2026-02-29\"; a date such as 2026-12-25 is right",
            "communities[0].holidays[2].date is \"2026-12-25\"; each date once is right",
            "communities[0].holidays[3].date is \"2026-12-26T10:00\"; a date such as 2026-12-25 is right",
            "communities[0].brand_accounts[0] is 0 bytes long; an author id, or @ and a handle, of 1 to 256 bytes is right",
            "communities[0].brand_accounts[1] is 693 bytes long; an author id, or @ and a handle, of 1 to 256 bytes is right",
            "communities[0].links.wiki is \"javascript:alert(1)\"; a URL that begins with https:// or http://, at most 2048 \
             bytes, is right",
            "communities[1].business_hours is 0 minutes a week; at least 60 are right: nothing would ever be due",
            "communities[2].id is \"b\"; an id that no other community has is right",
            "communities[3].id is \"\"; 1 to 256 bytes are right",
        ]
    );
}

#[test]
fn what_a_community_does_not_say_is_as_in_the_default() {
    let default = CommunitySpec {
        time_zone: Some("asia/makassar".to_owned()),
        language: Some("en".to_owned()),
        department: Some("timur".to_owned()),
        ..CommunitySpec::default()
    };
    let own =
        CommunitySpec { time_zone: Some("Asia/Jayapura".to_owned()), name: Some("Warga A".to_owned()), ..spec("a") };
    let communities = Communities::new(&default, &[own, spec("b")]).unwrap();
    let said = |id: &str| {
        let community = communities.get(id);
        (community.name.as_str(), community.time_zone.as_str(), community.language, community.department.as_deref())
    };
    assert_eq!(said("a"), ("Warga A", "Asia/Jayapura", Language::English, Some("timur")));
    assert_eq!(said("b"), ("b", "Asia/Makassar", Language::English, Some("timur")));
    assert_eq!(said("unlisted"), ("", "Asia/Makassar", Language::English, Some("timur")));
    assert!(communities.listed("unlisted").is_none() && communities.listed("a").is_some());
    assert_eq!(communities.iter().map(|community| community.id.as_str()).collect::<Vec<_>>(), ["a", "b"]);
    // 2026-11-25T15:00Z is Wednesday 23:00 in Makassar and Thursday midnight in Jayapura.
    assert_eq!(
        (communities.hour_of_week("b", 1_795_618_800_000), communities.hour_of_week("a", 1_795_618_800_000)),
        (71, 72)
    );
}

#[test]
fn the_registry_names_the_brand_and_nobody_else() {
    let author = |id: &'static str, handle: Option<&'static str>, role| {
        Some(Author { id: id.into(), handle: handle.map(Into::into), role, followers: None, verified: None })
    };
    let brand = CommunitySpec { brand_accounts: Some(vec!["178".to_owned(), "@AcmeCare".to_owned()]), ..spec("a") };
    let communities = Communities::new(&CommunitySpec::default(), &[brand]).unwrap();
    let interaction = |community: &'static str| Interaction {
        kind: Kind::Comment,
        id: "1".into(),
        community_id: community.into(),
        author: author("9", Some("@acmecare"), Role::Member),
        created_at: 0,
        observed_at: 0,
        edited_at: None,
        deleted: false,
        text: "".into(),
        media: Vec::new(),
        url: None,
        language_hint: None,
        post_id: Some("p".into()),
        parent_id: Some("q".into()),
        post_author: author("178", None, Role::Unknown),
        parent_author: author("AcmeCare", None, Role::Moderator),
        mentions: Vec::new(),
    };
    let roles = |mut interaction: Interaction<'static>| {
        communities.name_the_brand(&mut interaction);
        [interaction.author, interaction.post_author, interaction.parent_author].map(|author| author.unwrap().role)
    };
    assert_eq!(roles(interaction("a")), [Role::Brand, Role::Brand, Role::Moderator]);
    assert_eq!(roles(interaction("b")), [Role::Member, Role::Unknown, Role::Moderator]);
    let shown =
        format!("{:?} {:?}", communities, CommunitySpec { brand_accounts: Some(vec!["178".to_owned()]), ..spec("a") });
    assert!(!shown.contains("178") && !shown.to_lowercase().contains("acmecare"), "{shown}");
}
