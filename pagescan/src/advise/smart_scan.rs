//! What smart_scan leaves out (since Linux 6.7; should_skip_rmap_item() and skip_age() of mm/ksm.c).
//!
//! KSM counts for each page the passes since it first looked at it there: the page's age. It looks at a page in the passes of the ages 0
//! to 3, then at 5, 8 and 13, and from there on in one pass of nine. What the page holds does not matter: it grows older all the
//! same when that changes.
//!
//! Two pages that are equal and not merged yet find one another in one pass only, in which KSM looks at both (the tree in which it keeps
//! such pages is made anew for each pass). So pages that were first seen in the same pass merge, if late. Others, when they are
//! old, merge only if nine divides the number of passes between their first ones; else never, however many passes follow. What
//! is equal to a page that is merged already joins it when it was the same at two looks, so after two turns at most.
//!
//! Measured on Linux 6.18 with two processes of 300 pages that became equal 20 passes after the later was first seen, the other 0 to 11 passes
//! before it: at 0 and 9 all of them were merged in the 12th pass, in the other ten cases none in 40 passes; without
//! smart_scan all in the second. Of another that became equal to pages that were merged, all joined them 10 to 18 passes later. The kernel
//! tells no page's age, so whether old pages will ever merge with one another cannot be foretold.

/// Up to this age KSM looks at a page in each pass.
const EAGER: u64 = 3;
/// Then it looks at it again at these.
const LATER: [u64; 3] = [5, 8, 13];
/// And from then on once in so many passes.
pub const TURN: u64 = 9;

/// Whether KSM looks at a page in the pass in which it is so many passes old.
pub fn is_looked_at(age: u64) -> bool {
    let last = LATER[LATER.len() - 1];
    age <= EAGER || LATER.contains(&age) || age > last && (age - last).is_multiple_of(TURN)
}

/// Within so many passes it looks at each page twice, however old.
pub const TWO_TURNS: u64 = 2 * TURN;

/// Whether it may leave out pages that it knows before they meet new ones: if some of them may be that old after so many passes.
/// (New ones can merge in their second pass.)
pub fn leaves_out(passes: u64) -> bool {
    passes >= EAGER
}

/// Pages in memory that KSM may merge.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ages {
    /// It has not looked at these yet.
    pub new: u64,
    /// It has, and is taken to look at an equal part of them in each pass of a turn.
    pub old: u64,
    /// It has merged these, and never leaves them out.
    pub merged: u64,
}

impl Ages {
    /// How many pages it looks at in each of the passes to come. What is left out does not count for `pages_to_scan`.
    pub fn passes(&self, passes: u64) -> Vec<u64> {
        let of_pass = |pass| {
            let new = if is_looked_at(pass) { self.new } else { 0 };
            new + self.old.div_ceil(TURN) + self.merged
        };
        (0..passes).map(of_pass).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_passes_of_a_page() {
        let looks: Vec<u64> = (0..45).filter(|age| is_looked_at(*age)).collect();
        assert_eq!(looks, [0, 1, 2, 3, 5, 8, 13, 22, 31, 40]);
    }

    #[test]
    fn old_ones_have_their_turn() {
        let ages = Ages { new: 100, old: 900, merged: 7 };
        assert_eq!(ages.passes(5), [207, 207, 207, 207, 107]);
        assert_eq!([0, 1, 2, 3].map(leaves_out), [false, false, false, true]);
    }
}
