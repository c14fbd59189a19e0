//! rtune-release.
