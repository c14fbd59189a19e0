//! rtune-adapters.
