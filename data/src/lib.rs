//! rtune-data.
