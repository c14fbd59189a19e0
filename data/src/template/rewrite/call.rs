//! Calls, and what stands in the brackets of calls, filters and tests.

use minijinja::machinery::ast::{Call, CallArg, Expr};

use super::Writer;
use crate::template::bounds::{CYCLED, EACH, READ, SPLAT};

impl Writer {
    pub(super) fn call(&mut self, call: &Call<'_>) {
        match &call.expr {
            Expr::GetAttr(method) if method.name == "cycle" => {
                self.put(CYCLED);
                self.put("(");
                self.expression(&method.expr);
                self.put(if call.args.is_empty() { "" } else { ", " });
                self.each_argument(&call.args);
                return self.put(")");
            }
            // What it was called with before is held against this.
            Expr::GetAttr(method) if method.name == "changed" => {
                self.attribute(method);
                return self.held_arguments(READ, &call.args);
            }
            Expr::Var(name) if name.id == "loop" => {
                self.put(name.id);
                return self.held_arguments(EACH, &call.args);
            }
            Expr::GetAttr(method) => self.attribute(method),
            function => self.operand(function),
        }
        self.put("(");
        self.each_argument(&call.args);
        self.put(")");
    }

    /// Arguments in brackets, each of them given to a function first.
    fn held_arguments(&mut self, function: &str, arguments: &[CallArg<'_>]) {
        self.put("(");
        for (index, argument) in arguments.iter().enumerate() {
            self.put(if index > 0 { ", " } else { "" });
            match argument {
                CallArg::Pos(value) => self.called(function, value),
                argument => self.argument(argument),
            }
        }
        self.put(")");
    }

    /// Arguments in brackets, behind a name where there is one; nothing where there is neither.
    pub(super) fn arguments(&mut self, arguments: &[CallArg<'_>], name: Option<&str>) {
        if arguments.is_empty() && name.is_none() {
            return;
        }
        self.put("(");
        if let Some(name) = name {
            self.text(name);
            self.put(if arguments.is_empty() { "" } else { ", " });
        }
        self.each_argument(arguments);
        self.put(")");
    }

    fn each_argument(&mut self, arguments: &[CallArg<'_>]) {
        for (index, argument) in arguments.iter().enumerate() {
            self.put(if index > 0 { ", " } else { "" });
            self.argument(argument);
        }
    }

    fn argument(&mut self, argument: &CallArg<'_>) {
        match argument {
            CallArg::Pos(value) => self.expression(value),
            CallArg::Kwarg(name, value) => {
                self.put(name);
                self.put("=");
                self.expression(value);
            }
            CallArg::PosSplat(values) => {
                self.put("*");
                self.called(SPLAT, values);
            }
            CallArg::KwargSplat(values) => {
                self.put("**");
                self.called(SPLAT, values);
            }
        }
    }
}
