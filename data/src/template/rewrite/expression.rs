//! Expressions. Whatever binds to an operand has it in brackets, unless it needs none.

use std::fmt::Write as _;

use minijinja::machinery::ast::{BinOp, BinOpKind, CompareOpKind, Expr, Filter, GetAttr, UnaryOpKind};
use minijinja::value::{Value, ValueKind};

use super::Writer;
use crate::template::attributes;
use crate::template::bounds::{
    ADDED, ATTRIBUTE, COMPARED, CUT, FILTERED, ITEM, JOINED, LOOKED_UP, NEGATIVE, SHOWN, TIMES,
};

impl Writer {
    /// An expression that something binds to.
    pub(super) fn operand(&mut self, expression: &Expr<'_>) {
        let is_joined = match expression {
            Expr::BinOp(operation) => !is_call(operation.op),
            Expr::UnaryOp(_) | Expr::IfExpr(_) | Expr::Test(_) | Expr::Filter(_) => true,
            Expr::Const(constant) => constant.value.is_number(),
            _ => false,
        };
        self.put(if is_joined { "(" } else { "" });
        self.expression(expression);
        self.put(if is_joined { ")" } else { "" });
    }

    pub(super) fn expression(&mut self, expression: &Expr<'_>) {
        self.go_to(expression.span().start_line);
        match expression {
            Expr::Var(name) => self.name(name.id),
            Expr::Const(constant) => self.constant(&constant.value),
            Expr::Slice(slice) => {
                self.put(CUT);
                self.put("(");
                self.expression(&slice.expr);
                for bound in [&slice.start, &slice.stop, &slice.step] {
                    self.put(", ");
                    match bound {
                        Some(bound) => self.expression(bound),
                        None => self.put("none"),
                    }
                }
                self.put(")");
            }
            Expr::UnaryOp(operation) => match (&operation.op, &operation.expr) {
                (UnaryOpKind::Not, value) => {
                    self.put("not ");
                    self.operand(value);
                }
                (UnaryOpKind::Neg, Expr::Const(number)) if number.value.is_number() => {
                    self.put("-");
                    self.operand(&operation.expr);
                }
                (UnaryOpKind::Neg, value) => self.called(NEGATIVE, value),
            },
            Expr::BinOp(operation) => self.operation(operation),
            Expr::Compare(comparison) => {
                self.put(COMPARED);
                self.put("(");
                self.expression(&comparison.expr);
                for compared in &comparison.ops {
                    self.put(match compared.op {
                        CompareOpKind::Eq => ", '==', ",
                        CompareOpKind::Ne => ", '!=', ",
                        CompareOpKind::Lt => ", '<', ",
                        CompareOpKind::Lte => ", '<=', ",
                        CompareOpKind::Gt => ", '>', ",
                        CompareOpKind::Gte => ", '>=', ",
                        CompareOpKind::In => ", 'in', ",
                        CompareOpKind::NotIn => ", 'not in', ",
                    });
                    self.expression(&compared.expr);
                }
                self.put(")");
            }
            Expr::IfExpr(choice) => {
                self.operand(&choice.true_expr);
                self.put(" if ");
                self.operand(&choice.test_expr);
                if let Some(otherwise) = &choice.false_expr {
                    self.put(" else ");
                    self.operand(otherwise);
                }
            }
            Expr::Filter(filter) => self.filter(filter),
            Expr::Test(test) => {
                self.operand(&test.expr);
                self.put(" is ");
                self.put(test.name);
                self.arguments(&test.args, None);
            }
            Expr::GetAttr(attribute) if attributes::is_of_mappings(attribute.name) => {
                self.looked_up(ATTRIBUTE, &attribute.expr, attribute.name);
            }
            Expr::GetAttr(attribute) => self.attribute(attribute),
            Expr::GetItem(item) => match name_of(&item.subscript_expr) {
                Some(name) if attributes::is_of_mappings(name) => self.looked_up(ITEM, &item.expr, name),
                Some(_) => {
                    self.operand(&item.expr);
                    self.put("[");
                    self.expression(&item.subscript_expr);
                    self.put("]");
                }
                None => {
                    self.put(LOOKED_UP);
                    self.put("(");
                    self.expression(&item.expr);
                    self.put(", ");
                    self.expression(&item.subscript_expr);
                    self.put(")");
                }
            },
            Expr::Call(call) => self.call(call),
            Expr::List(list) => self.holding(list.items.iter(), |writer| {
                writer.put("[");
                writer.list(&list.items);
                writer.put("]");
            }),
            Expr::Tuple(tuple) => self.holding(tuple.items.iter(), |writer| {
                writer.put("(");
                writer.list(&tuple.items);
                writer.put(if tuple.items.is_empty() { ")" } else { ",)" });
            }),
            Expr::Map(map) => self.holding(map.keys.iter().chain(&map.values), |writer| {
                writer.put("{ ");
                for (index, (key, value)) in map.keys.iter().zip(&map.values).enumerate() {
                    writer.put(if index > 0 { ", " } else { "" });
                    writer.expression(key);
                    writer.put(": ");
                    writer.expression(value);
                }
                writer.put(" }");
            }),
        }
    }

    /// Something of these items; constants are no deeper than they are written.
    fn holding<'a>(&mut self, items: impl Iterator<Item = &'a Expr<'a>>, write: impl FnOnce(&mut Self)) {
        let mut items = items;
        if items.all(|item| matches!(item, Expr::Const(_))) { write(self) } else { self.held(write) }
    }

    /// A function of one value.
    pub(super) fn called(&mut self, function: &str, value: &Expr<'_>) {
        self.put(function);
        self.put("(");
        self.expression(value);
        self.put(")");
    }

    fn held(&mut self, write: impl FnOnce(&mut Self)) {
        self.put(SHOWN);
        self.put("(");
        write(self);
        self.put(")");
    }

    fn operation(&mut self, operation: &BinOp<'_>) {
        match operation.op {
            BinOpKind::Concat => self.function_of_all(JOINED, operation),
            BinOpKind::Add => self.function_of_all(ADDED, operation),
            BinOpKind::Mul => {
                self.put(TIMES);
                self.put("(");
                self.expression(&operation.left);
                self.put(", ");
                self.expression(&operation.right);
                self.put(")");
            }
            BinOpKind::ScAnd | BinOpKind::ScOr => {
                // A long chain is no deeper than a short one.
                match &operation.left {
                    Expr::BinOp(left) if same(left.op, operation.op) => self.operation(left),
                    left => self.operand(left),
                }
                self.put(symbol(operation.op));
                self.operand(&operation.right);
            }
            op => match compared(op) {
                Some(sign) => {
                    self.put(COMPARED);
                    self.put("(");
                    self.expression(&operation.left);
                    self.put(", '");
                    self.put(sign);
                    self.put("', ");
                    self.expression(&operation.right);
                    self.put(")");
                }
                None => {
                    self.operand(&operation.left);
                    self.put(symbol(op));
                    self.operand(&operation.right);
                }
            },
        }
    }

    /// `a ~ b ~ c` as one call.
    fn function_of_all(&mut self, name: &str, operation: &BinOp<'_>) {
        self.put(name);
        self.put("(");
        self.all_of(operation);
        self.put(")");
    }

    fn all_of(&mut self, operation: &BinOp<'_>) {
        match &operation.left {
            Expr::BinOp(left) if same(left.op, operation.op) => self.all_of(left),
            left => self.expression(left),
        }
        self.put(", ");
        self.expression(&operation.right);
    }

    /// Without what is filtered, it is the first filter of a block.
    fn filter(&mut self, filter: &Filter<'_>) {
        if let Some(filtered) = &filter.expr {
            match filtered {
                Expr::Filter(before) => self.filter(before),
                other => self.operand(other),
            }
            self.put(" | ");
        }
        self.put(FILTERED);
        self.arguments(&filter.args, Some(filter.name));
    }

    /// `value.name`, as what is assigned to or called.
    pub(super) fn attribute(&mut self, attribute: &GetAttr<'_>) {
        self.operand(&attribute.expr);
        self.put(".");
        self.put(attribute.name);
    }

    /// What a value has under a name that mappings have a method of.
    fn looked_up(&mut self, function: &str, value: &Expr<'_>, name: &str) {
        self.put(function);
        self.put("(");
        self.expression(value);
        self.put(", ");
        self.text(name);
        self.put(")");
    }

    fn list(&mut self, items: &[Expr<'_>]) {
        for (index, item) in items.iter().enumerate() {
            self.put(if index > 0 { ", " } else { "" });
            self.expression(item);
        }
    }

    fn constant(&mut self, value: &Value) {
        match value.kind() {
            ValueKind::None => self.put("none"),
            ValueKind::Bool => self.put(if value.is_true() { "true" } else { "false" }),
            ValueKind::String => self.text(value.as_str().unwrap_or_default()),
            // Writing to a text cannot fail.
            _ => drop(write!(self.out, "{value}")),
        }
    }

    /// A text between quotation marks.
    pub(super) fn text(&mut self, text: &str) {
        self.out.push('"');
        for letter in text.chars() {
            match letter {
                '"' => self.out.push_str("\\\""),
                '\\' => self.out.push_str("\\\\"),
                '\n' => self.out.push_str("\\n"),
                '\r' => self.out.push_str("\\r"),
                letter => self.out.push(letter),
            }
        }
        self.out.push('"');
    }
}

/// A text that is written out.
fn name_of<'a>(expression: &'a Expr<'_>) -> Option<&'a str> {
    match expression {
        Expr::Const(constant) => constant.value.as_str(),
        _ => None,
    }
}

/// Whether an operator is written as a call.
fn is_call(op: BinOpKind) -> bool {
    matches!(op, BinOpKind::Concat | BinOpKind::Add | BinOpKind::Mul) || compared(op).is_some()
}

/// What an operator that compares is called.
fn compared(op: BinOpKind) -> Option<&'static str> {
    Some(match op {
        BinOpKind::Eq => "==",
        BinOpKind::Ne => "!=",
        BinOpKind::Lt => "<",
        BinOpKind::Lte => "<=",
        BinOpKind::Gt => ">",
        BinOpKind::Gte => ">=",
        BinOpKind::In => "in",
        _ => return None,
    })
}

fn same(one: BinOpKind, other: BinOpKind) -> bool {
    std::mem::discriminant(&one) == std::mem::discriminant(&other)
}

/// An operator that is written as itself.
fn symbol(op: BinOpKind) -> &'static str {
    match op {
        BinOpKind::ScAnd => " and ",
        BinOpKind::ScOr => " or ",
        BinOpKind::Sub => " - ",
        BinOpKind::Div => " / ",
        BinOpKind::FloorDiv => " // ",
        BinOpKind::Rem => " % ",
        BinOpKind::Pow => " ** ",
        op => compared(op).unwrap_or_default(),
    }
}
