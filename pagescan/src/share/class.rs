//! The classes of sharing (section 3.1 of the paper): every page that is used is of one of them.
//!
//! | class | its frame |
//! |---|---|
//! | zero | holds zeros only |
//! | shared | is used more than once |
//! | unread | is used once, and was not read |
//! | opportunity | is used once, and other frames hold the same: all of those anonymous, all named, or mixed |
//! | private | is used once, and no other holds the same |
//!
//! The first that fits counts. Shared and opportunity are external if the users are of several domains, else internal.

use std::ops::AddAssign;

use serde::Serialize;

/// A class.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// In a frame that is used more than once.
    Shared,
    /// Others hold the same, all of them anonymous.
    Anonymous,
    /// Others hold the same, all of them of files.
    Named,
    /// Others hold the same, of several kinds, or of the kernel.
    Mixed,
    /// No other holds the same.
    Private,
    /// Zeros only.
    Zero,
    /// Nobody knows.
    Unread,
}

impl Class {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 7] = [
        Self::Shared,
        Self::Anonymous,
        Self::Named,
        Self::Mixed,
        Self::Private,
        Self::Zero,
        Self::Unread,
    ];

    /// What people call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Shared => "shared",
            Self::Anonymous => "opportunity, anonymous",
            Self::Named => "opportunity, named",
            Self::Mixed => "opportunity, mixed",
            Self::Private => "private",
            Self::Zero => "zero",
            Self::Unread => "unread",
        }
    }
}

/// How much of something there is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Count {
    /// Pages of address spaces or files, each as often as it is used.
    pub pages: u64,
    /// Frames, each once.
    pub frames: u64,
}

impl AddAssign for Count {
    fn add_assign(&mut self, other: Self) {
        self.pages += other.pages;
        self.frames += other.frames;
    }
}

/// The same within domains and between them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Sides {
    /// All users are of one domain.
    pub internal: Count,
    /// They are of several.
    pub external: Count,
}

impl Sides {
    /// Both together.
    pub fn all(&self) -> Count {
        let mut all = self.internal;
        all += self.external;
        all
    }
}

/// How much there is of each class.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Classes {
    /// In frames that are used more than once.
    pub shared: Sides,
    /// Used once, others hold the same, all anonymous.
    pub anonymous: Sides,
    /// All of files.
    pub named: Sides,
    /// Of several kinds.
    pub mixed: Sides,
    /// Like no other.
    pub private: Count,
    /// Zeros only.
    pub zero: Count,
    /// Not read.
    pub unread: Count,
}

impl Classes {
    /// Adds to a class.
    pub fn add(&mut self, class: Class, is_external: bool, count: Count) {
        let sides = match class {
            Class::Shared => &mut self.shared,
            Class::Anonymous => &mut self.anonymous,
            Class::Named => &mut self.named,
            Class::Mixed => &mut self.mixed,
            Class::Private => return self.private += count,
            Class::Zero => return self.zero += count,
            Class::Unread => return self.unread += count,
        };
        *(if is_external { &mut sides.external } else { &mut sides.internal }) += count;
    }

    /// How much of a class there is, within domains and between them.
    pub fn of(&self, class: Class) -> Sides {
        let alone = |internal| Sides { internal, external: Count::default() };
        match class {
            Class::Shared => self.shared,
            Class::Anonymous => self.anonymous,
            Class::Named => self.named,
            Class::Mixed => self.mixed,
            Class::Private => alone(self.private),
            Class::Zero => alone(self.zero),
            Class::Unread => alone(self.unread),
        }
    }

    /// All together.
    pub fn all(&self) -> Count {
        let mut all = Count::default();
        for class in Class::ALL {
            all += self.of(class).all();
        }
        all
    }
}
