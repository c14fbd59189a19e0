//! What a name stands for where it is read: macros with their parameters, and blocks of which nothing is known behind them.

use std::collections::BTreeSet;

use minijinja::machinery::ast::{Expr, Macro, Stmt};

use super::Writer;
use crate::template::bounds::PREFIX;

impl Writer {
    /// The values of a `{% with %}` are those of what stands around it, also where a name before them is new: each is kept under a
    /// name that no template has, until all are there.
    pub(super) fn with(&mut self, line: u16, assignments: &[(Expr<'_>, Expr<'_>)], body: &[Stmt<'_>]) {
        let is_plain = assignments.iter().all(|(_, value)| matches!(value, Expr::Const(_)));
        self.open(line, "with");
        for (index, (target, value)) in assignments.iter().enumerate() {
            self.put(if index > 0 { ", " } else { "" });
            match is_plain {
                true => self.target(target, true),
                false => self.kept(index),
            }
            self.put(" = ");
            self.operand(value);
        }
        self.close();
        if !is_plain {
            self.put("{% with ");
            for (index, (target, _)) in assignments.iter().enumerate() {
                self.put(if index > 0 { ", " } else { "" });
                self.target(target, true);
                self.put(" = ");
                self.kept(index);
            }
            self.close();
        }
        self.block(body, false);
        if !is_plain {
            self.end("endwith");
        }
        self.end("endwith");
    }

    fn kept(&mut self, index: usize) {
        self.put(PREFIX);
        self.put("kept_");
        self.put(&index.to_string());
    }

    /// What is set within is not set behind it.
    pub(super) fn scope(&mut self, statements: &[Stmt<'_>]) {
        self.put("{% with %}");
        self.block(statements, false);
        self.end("endwith");
    }

    /// The body of a macro. The engine gives it what it finds to be read in it, which is not all that is: the namespace that something is set
    /// on is missing, what a name is set to of itself, and what a filter of a block is given. So all names are read at its head.
    pub(super) fn body(&mut self, defined: &Macro<'_>) {
        let head = self.out.len();
        self.named.push(BTreeSet::new());
        self.defaults(defined);
        self.block(&defined.body, false);
        let named = self.named.pop().unwrap_or_default();
        if named.is_empty() {
            return;
        }
        let names: Vec<&str> = named.iter().map(String::as_str).collect();
        let read = format!("{{% if false %}}{{{{ [{}] }}}}{{% endif %}}", names.join(", "));
        self.out.insert_str(head, &read);
        if let Some(around) = self.named.last_mut() {
            around.extend(named);
        }
    }

    /// A variable.
    pub(super) fn name(&mut self, name: &str) {
        self.put(name);
        // These are what they are where they stand.
        let is_own = matches!(name, "loop" | "caller" | "self" | "super");
        if let (Some(named), false) = (self.named.last_mut(), is_own) {
            named.insert(name.to_owned());
        }
    }

    pub(super) fn parameters(&mut self, defined: &Macro<'_>) {
        let plain = defined.args.len() - defined.defaults.len();
        self.put("(");
        for (index, parameter) in defined.args.iter().enumerate() {
            self.put(if index > 0 { ", " } else { "" });
            self.target(parameter, true);
            let value = index.checked_sub(plain).and_then(|index| defined.defaults.get(index));
            if let (Some(value), true) = (value, are_plain(defined)) {
                self.put("=");
                self.expression(value);
            }
        }
        self.put(")");
    }

    /// Defaults that may name parameters before them, which the engine does not know yet where it fills in defaults.
    fn defaults(&mut self, defined: &Macro<'_>) {
        if are_plain(defined) {
            return;
        }
        let plain = defined.args.len() - defined.defaults.len();
        for (parameter, value) in defined.args[plain..].iter().zip(&defined.defaults) {
            self.put("{% if ");
            self.target(parameter, true);
            self.put(" is undefined %}{% set ");
            self.target(parameter, true);
            self.put(" = ");
            self.expression(value);
            self.put(" %}{% endif %}");
        }
    }
}

/// Whether the defaults of a macro name nothing.
fn are_plain(defined: &Macro<'_>) -> bool {
    defined.defaults.iter().all(|value| matches!(value, Expr::Const(_)))
}
