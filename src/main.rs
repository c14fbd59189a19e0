//! The program `rtune`.

fn main() {}
