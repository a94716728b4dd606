//! Kafka's words for what a user may do, and what is said where one of them is missing.

use std::fmt;

/// What may be done to a resource, by Kafka's names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Operation {
    /// Records and positions may be read; implies [`Operation::Describe`].
    Read,
    /// Records may be written; implies [`Operation::Describe`].
    Write,
    /// It may be made.
    Create,
    /// Partitions may be added; implies [`Operation::Describe`].
    Alter,
    /// That it is there, and its offsets, may be known.
    Describe,
    /// Its configuration may be set; implies [`Operation::DescribeConfigs`].
    AlterConfigs,
    /// Its configuration may be known.
    DescribeConfigs,
}

impl Operation {
    /// Its name, as Kafka's tools take it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Operation::Read => "Read",
            Operation::Write => "Write",
            Operation::Create => "Create",
            Operation::Alter => "Alter",
            Operation::Describe => "Describe",
            Operation::AlterConfigs => "AlterConfigs",
            Operation::DescribeConfigs => "DescribeConfigs",
        }
    }

    /// Whether who may do this may do `other` as well, by Kafka's rules.
    pub const fn implies(self, other: Operation) -> bool {
        match other {
            Operation::Describe => {
                matches!(self, Operation::Read | Operation::Write | Operation::Alter | Operation::Describe)
            }
            Operation::DescribeConfigs => matches!(self, Operation::AlterConfigs | Operation::DescribeConfigs),
            other => self as u8 == other as u8,
        }
    }
}

/// What something may be done to.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Resource {
    /// A topic.
    Topic(String),
    /// A consumer group.
    Group(String),
    /// A transactional id.
    TransactionalId(String),
}

impl Resource {
    /// Its kind, as Kafka's tools name it.
    pub const fn kind(&self) -> &'static str {
        match self {
            Resource::Topic(_) => "topic",
            Resource::Group(_) => "group",
            Resource::TransactionalId(_) => "transactional-id",
        }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        let (Resource::Topic(name) | Resource::Group(name) | Resource::TransactionalId(name)) = self;
        name
    }
}

impl fmt::Display for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind(), self.name())
    }
}

/// What is said where a broker does not let this user do something.
pub(crate) fn missing(operation: Operation, resource: &Resource) -> String {
    format!(
        "{} on {resource} is not allowed to this user; `sinyal topics plan --acls` lists what each role and command needs",
        operation.as_str()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn implied_operations_are_those_of_kafka() {
        // Of KIP-133 and the documentation, "Operations and Resources on Protocols".
        for one in [Operation::Read, Operation::Write, Operation::Alter] {
            assert!(one.implies(Operation::Describe) && !one.implies(Operation::DescribeConfigs));
        }
        assert!(Operation::AlterConfigs.implies(Operation::DescribeConfigs));
        assert!(!Operation::Create.implies(Operation::Describe) && !Operation::Read.implies(Operation::Write));
        assert!(Operation::Read.implies(Operation::Read));
    }

    #[test]
    fn what_is_missing_is_named() {
        let said = missing(Operation::Write, &Resource::TransactionalId("a.b.".to_owned()));
        assert!(said.starts_with("Write on transactional-id a.b. is not allowed"), "{said}");
    }
}
