//! How regular contact is.

/// How regular contacts are that fell into these slots of time, in any order: from 0, all in bursts, over 0.5, as if by chance, to
/// 1, evenly spaced. `None` for fewer than three slots, between which there are no two gaps to compare.
///
/// It is (1 - B) / 2 of the burstiness B = (s - m) / (s + m), where m is the mean and s the standard deviation of the gaps (Goh and
/// Barabási, 2008, doi:10.1209/0295-5075/81/48002).
pub(crate) fn regularity(slots: &mut Vec<i64>) -> Option<f64> {
    slots.sort_unstable();
    slots.dedup();
    let gaps = || slots.windows(2).map(|pair| (pair[1] - pair[0]) as f64);
    if slots.len() < 3 {
        return None;
    }
    let count = (slots.len() - 1) as f64;
    let mean = gaps().sum::<f64>() / count;
    let deviation = (gaps().map(|gap| (gap - mean).powi(2)).sum::<f64>() / count).sqrt();
    Some(mean / (mean + deviation))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn even_is_one_and_bursts_are_less() {
        assert_eq!(regularity(&mut vec![0, 5]), None);
        assert_eq!(regularity(&mut vec![3, 3, 3]), None);
        assert_eq!(regularity(&mut vec![40, 10, 20, 30]), Some(1.0));
        let burst = regularity(&mut vec![0, 1, 2, 3, 100]).unwrap_or_default();
        let loose = regularity(&mut vec![0, 20, 55, 70, 100]).unwrap_or_default();
        assert!(burst < 0.45 && loose > 0.7, "{burst} {loose}");
    }
}
