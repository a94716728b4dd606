//! From whom to whom an interaction goes.

use record::{Direction, Interaction, Kind, Role};

/// The direction of an interaction, from the roles that the record itself carries.
///
/// A post goes to all. A comment goes to the author of its parent comment, or of its post where it has no parent. A
/// moderator counts as a member. Where a role that is needed is not known, the direction is unknown, not guessed.
///
/// ```
/// use record::{Direction, Interaction, Kind};
/// let post = Interaction {
///     kind: Kind::Post, id: "1".into(), community_id: "c".into(),
///     author: Some(record::Author { id: "a".into(), handle: None, role: record::Role::Member, followers: None, verified: None }),
///     created_at: 0, observed_at: 0, edited_at: None, deleted: false, text: "halo".into(), media: vec![], url: None,
///     language_hint: None, post_id: None, parent_id: None, post_author: None, parent_author: None, mentions: vec![],
/// };
/// assert_eq!(rules::direction_of(&post), Direction::MemberToAll);
/// ```
pub fn direction_of(interaction: &Interaction<'_>) -> Direction {
    let role = |author: &Option<record::Author<'_>>| author.as_ref().map_or(Role::Unknown, |author| author.role);
    let from = role(&interaction.author);
    if interaction.kind == Kind::Post {
        return match from {
            Role::Brand => Direction::BrandToAll,
            Role::Member | Role::Moderator => Direction::MemberToAll,
            Role::Unknown => Direction::Unknown,
        };
    }
    let to =
        if interaction.parent_id.is_some() { role(&interaction.parent_author) } else { role(&interaction.post_author) };
    match (from, to) {
        (Role::Unknown, _) | (_, Role::Unknown) => Direction::Unknown,
        (Role::Brand, Role::Brand) => Direction::BrandToAll,
        (Role::Brand, Role::Member | Role::Moderator) => Direction::BrandToMember,
        (Role::Member | Role::Moderator, Role::Brand) => Direction::MemberToBrand,
        (Role::Member | Role::Moderator, Role::Member | Role::Moderator) => Direction::MemberToMember,
    }
}

#[cfg(test)]
mod tests {
    use record::Author;

    use super::*;

    fn author(role: Role) -> Option<Author<'static>> {
        Some(Author { id: "a".into(), handle: None, role, followers: None, verified: None })
    }

    fn check(kind: Kind, from: Role, post: Option<Role>, parent: Option<Role>, expected: Direction) {
        let interaction = Interaction {
            kind,
            id: "1".into(),
            community_id: "c".into(),
            author: author(from),
            created_at: 0,
            observed_at: 0,
            edited_at: None,
            deleted: false,
            text: "".into(),
            media: Vec::new(),
            url: None,
            language_hint: None,
            post_id: Some("p".into()),
            parent_id: parent.map(|_| "q".into()),
            post_author: post.and_then(author),
            parent_author: parent.and_then(author),
            mentions: Vec::new(),
        };
        assert_eq!(direction_of(&interaction), expected, "{kind:?} from {from:?}, post {post:?}, parent {parent:?}");
    }

    #[test]
    fn follows_the_roles() {
        use Direction::{BrandToAll, BrandToMember, MemberToAll, MemberToBrand, MemberToMember};
        use Role::{Brand, Member, Moderator};
        check(Kind::Post, Member, None, None, MemberToAll);
        check(Kind::Post, Moderator, None, None, MemberToAll);
        check(Kind::Post, Brand, None, None, BrandToAll);
        check(Kind::Post, Role::Unknown, None, None, Direction::Unknown);
        check(Kind::Comment, Member, Some(Brand), None, MemberToBrand);
        check(Kind::Comment, Member, Some(Brand), Some(Member), MemberToMember);
        check(Kind::Comment, Brand, Some(Brand), Some(Moderator), BrandToMember);
        check(Kind::Comment, Brand, Some(Brand), None, BrandToAll);
        check(Kind::Comment, Member, None, None, Direction::Unknown);
        check(Kind::Comment, Role::Unknown, Some(Brand), None, Direction::Unknown);
    }
}
