//! Asks the linker to keep one of several functions that are the same: the program is a megabyte smaller.

use std::env;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_LINKER");
    let is = |name: &str, value: &str| env::var(name).is_ok_and(|found| found == value);
    // The linker that comes with Rust there knows the wish; one that somebody chose may not.
    let is_own = env::var_os("CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_LINKER").is_none()
        && !env::var("CARGO_ENCODED_RUSTFLAGS").is_ok_and(|flags| flags.contains("link"));
    if is("TARGET", "x86_64-unknown-linux-gnu") && is_own {
        println!("cargo::rustc-link-arg-bins=-Wl,--icf=all");
        // The profile's wish to strip is not heard for a package with settings of its own.
        println!("cargo::rustc-link-arg-bins=-Wl,--strip-all");
    }
}
