//! What can go wrong around a program, apart from the program.

/// Why nothing was run.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SandboxError {
    /// No interpreter.
    #[error("no Python to run programs with: `{python}`: {problem}")]
    NoPython {
        /// What was named.
        python: String,
        /// Why it is none.
        problem: String,
    },
    /// The machine does not let a process be confined.
    #[error("this machine cannot isolate programs: {problem}; nothing was run")]
    NotIsolated {
        /// What is missing.
        problem: String,
    },
    /// Something of ours failed.
    #[error("a program could not be run: {problem}")]
    Failed {
        /// What happened.
        problem: String,
    },
}

impl SandboxError {
    /// What is wrong, without the words around it.
    #[must_use]
    pub fn problem(&self) -> &str {
        match self {
            Self::NoPython { problem, .. } | Self::NotIsolated { problem } | Self::Failed { problem } => {
                problem
            }
        }
    }

    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::NoPython { .. } => Some("install Python 3, or name one by `--python`"),
            Self::NotIsolated { .. } => Some(
                "isolation takes Linux 5.13 or newer with Landlock and seccomp, on x86-64 or ARM64; a container's seccomp profile must allow them",
            ),
            Self::Failed { .. } => None,
        }
    }

    #[cfg(not(target_os = "linux"))]
    pub(crate) fn elsewhere() -> Self {
        Self::NotIsolated { problem: "it is not Linux".to_owned() }
    }
}
