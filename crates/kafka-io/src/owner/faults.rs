//! Places at which a test makes the process crash or the work fail, by the variable `FAILPOINTS` (crate `fail`). They are
//! there only with the feature `faults`, which nobody runs in production.

/// A place with a name. `FAILPOINTS="NAME=3*off->1*return(crash)"` ends the process the fourth time that it is come by;
/// `return(fail)` gives up what is not committed, as a broker's refusal would.
#[cfg(feature = "faults")]
macro_rules! fault_point {
    ($name:literal) => {
        fail::fail_point!($name, |what: Option<String>| {
            Err($crate::owner::faults::inflict($name, what.as_deref()).into())
        })
    };
}

#[cfg(not(feature = "faults"))]
macro_rules! fault_point {
    ($name:literal) => {};
}

pub(super) use fault_point;

#[cfg(feature = "faults")]
pub(super) fn inflict(name: &str, what: Option<&str>) -> super::producer::ProducerError {
    if what == Some("crash") {
        tracing::warn!(name, "crashing at a fault point");
        std::process::abort();
    }
    super::producer::ProducerError::Reset(format!("fault point {name}"))
}

/// A place with a name outside of the owner: the process ends there, or the work is to fail with what is given.
///
/// # Errors
/// Where `FAILPOINTS` says so; never without the feature `faults`.
pub fn fault(name: &'static str) -> Result<(), String> {
    #[cfg(feature = "faults")]
    fail::fail_point!(name, |what: Option<String>| {
        inflict(name, what.as_deref());
        Err(format!("fault point {name}"))
    });
    let _ = name;
    Ok(())
}

/// Reads `FAILPOINTS`, once for the process.
#[cfg(feature = "faults")]
pub fn arm() {
    std::mem::forget(fail::FailScenario::setup());
}
