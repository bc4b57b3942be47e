//! Distances from word to word, coded: those of arrays of pointers or structures are the same many times over.

use statify_params::leb128;

/// Fewer equal distances are no shorter if they are counted.
const LEAST_REPEATED: usize = 3;

/// Appends distances in words. `with` appends what belongs to the word of that number behind its distance, or where a distance
/// is repeated, behind that word's turn.
pub fn push(stream: &mut Vec<u8>, distances: &[u64], mut with: impl FnMut(&mut Vec<u8>, usize)) {
    let mut number = 0;
    for equal in distances.chunk_by(|a, b| a == b) {
        let is_counted = equal.len() >= LEAST_REPEATED;
        if is_counted {
            leb128::push(stream, equal[0] << 1 | 1);
            leb128::push(stream, equal.len() as u64);
        }
        for distance in equal {
            if !is_counted {
                leb128::push(stream, distance << 1);
            }
            with(stream, number);
            number += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use statify_params::leb128;

    #[test]
    fn equal_distances_are_counted() {
        let mut stream = Vec::new();
        super::push(&mut stream, &[0, 1, 1, 1, 1, 2, 2, 300], |_, _| ());
        let mut numbers = Vec::new();
        let mut rest = &stream[..];
        while let Some((number, behind)) = leb128::read(rest) {
            numbers.push(number);
            rest = behind;
        }
        assert_eq!(numbers, [0, 3, 4, 4, 4, 600]);
    }

    #[test]
    fn what_belongs_to_a_word_stands_behind_it() {
        let mut stream = Vec::new();
        super::push(&mut stream, &[5, 1, 1, 1], |stream, number| stream.push(100 + number as u8));
        assert_eq!(stream, [10, 100, 3, 3, 101, 102, 103]);
    }
}
