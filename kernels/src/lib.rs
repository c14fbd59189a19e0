//! rtune-kernels.
