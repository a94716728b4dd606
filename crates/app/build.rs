//! Where the binary finds libtorch at run time, if it is built with the deep tier.

fn main() {
    println!("cargo:rerun-if-env-changed=LIBTORCH");
    println!("cargo:rerun-if-changed=build.rs");
    if std::env::var_os("CARGO_FEATURE_DEEP").is_none() {
        return;
    }
    // In an image: in the folder `lib/sinyal` beside that of the binary. Where it was built: where it was linked from.
    println!("cargo:rustc-link-arg-bins=-Wl,-rpath,$ORIGIN/../lib/sinyal");
    if let Ok(libtorch) = std::env::var("LIBTORCH") {
        println!("cargo:rustc-link-arg-bins=-Wl,-rpath,{libtorch}/lib");
    }
}
