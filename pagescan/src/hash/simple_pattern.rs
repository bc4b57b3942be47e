//! The paper's simple pattern (4.1.2).

/// Twelve bytes of the page: those at 1, 2, 4 and so on up to 2,048. What lies behind the page's end counts as zero.
pub fn simple_pattern(page: &[u8]) -> [u8; 12] {
    std::array::from_fn(|i| page.get(1 << i).copied().unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_at_powers_of_two() {
        let mut page = [0; 4096];
        for i in 0..12 {
            page[1 << i] = i as u8 + 1;
        }
        assert_eq!(simple_pattern(&page), [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]);
        let mut other = page;
        (other[0], other[3], other[4095]) = (1, 1, 1);
        assert_eq!(simple_pattern(&page), simple_pattern(&other));
        assert_eq!(simple_pattern(&[7, 8]), [8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    }
}
