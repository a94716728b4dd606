//! Numbers on the command line: one out of range is a mistake of usage, and what is right is said.

use std::fmt::Display;
use std::str::FromStr;

/// A number above 0 and at most `most`.
pub(crate) fn above_zero<T: FromStr + PartialOrd + Default + Display>(text: &str, most: T) -> Result<T, String> {
    let number = text.parse().ok().filter(|number| *number > T::default() && *number <= most);
    number.ok_or_else(|| format!("above 0 and at most {most} is right"))
}

/// A number from `least` to `most`, both included.
pub(crate) fn between<T: FromStr + PartialOrd + Display>(text: &str, least: T, most: T) -> Result<T, String> {
    let number = text.parse().ok().filter(|number| (&least..=&most).contains(&number));
    number.ok_or_else(|| format!("{least} to {most} is right"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_out_of_range_is_told_what_is_right() {
        assert_eq!(above_zero("0.5", 10.0), Ok(0.5));
        assert_eq!(between("3600", 1.0, 3_600.0), Ok(3_600.0));
        for wrong in ["0", "-1", "11", "NaN", "inf", "x", ""] {
            assert_eq!(above_zero(wrong, 10.0), Err("above 0 and at most 10 is right".to_owned()), "{wrong}");
        }
        assert_eq!(between("NaN", 1.0, 10.0), Err("1 to 10 is right".to_owned()));
    }
}
