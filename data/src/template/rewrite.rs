//! A template written anew with each operator, filter and text in it as something that [`super::bounds`] bounds.
//!
//! The engine's own parser says what a template means, and this writes that down again: what a `{% for %}` or a `~` is, is decided
//! in one place. Lines stay where they are, for the sake of errors.

mod call;
mod expression;
mod names;

use std::collections::BTreeSet;

use minijinja::machinery::ast::{Expr, Stmt};
use minijinja::machinery::{Token, parse, tokenize};
use minijinja::syntax::SyntaxConfig;
use minijinja::{Error, ErrorKind};

use super::bounds::{EACH, HELD};

/// The template `source`, bounded.
///
/// # Errors
/// Those of the parser.
pub(super) fn rewrite(source: &str, name: &str, syntax: SyntaxConfig) -> Result<String, Error> {
    are_few(source, &syntax)?;
    let template = parse(source, name, syntax)?;
    let mut writer = Writer {
        out: String::with_capacity(2 * source.len()),
        line: 1,
        named: Vec::new(),
        within: Vec::new(),
        strays: 0,
    };
    writer.statement(&template);
    if writer.strays > 0 {
        let problem = "expected `continue` and `break` in a loop, with no block between them but `if`";
        return Err(Error::new(ErrorKind::SyntaxError, problem));
    }
    Ok(writer.out)
}

/// Words and signs within one another in a tag: each may stand one deeper than the one before it, and what goes through them does so
/// on the stack. A comma ends what stood before it, so that a table may be as long as it likes.
const MOST_TOKENS: usize = 2000;
/// The `{% elif %}` of a template, of which each stands within the one before it.
const MOST_BRANCHES: usize = 250;
/// The longest name, each of whose letters is looked at wherever it is looked up.
const MOST_LETTERS: usize = 1000;

/// Whether nothing in a source can be deeper than the stack.
fn are_few(source: &str, syntax: &SyntaxConfig) -> Result<(), Error> {
    // Since the last comma, for each bracket that is open; and together.
    let (mut within, mut total, mut branches): (Vec<usize>, usize, usize) = (vec![0], 0, 0);
    for token in tokenize(source, false, syntax.clone()) {
        // What is no token is an error of the parser, which comes to it as well.
        let Ok((token, _)) = token else { return Ok(()) };
        match token {
            Token::BlockStart | Token::VariableStart => (within, total) = (vec![0], 0),
            Token::Comma => total -= within.last_mut().map_or(0, std::mem::take),
            Token::ParenClose | Token::BracketClose | Token::BraceClose if within.len() > 1 => {
                total -= within.pop().unwrap_or(0);
            }
            Token::Ident(name) if name.len() > MOST_LETTERS => {
                let problem = format!("expected names of at most {MOST_LETTERS} letters");
                return Err(Error::new(ErrorKind::SyntaxError, problem));
            }
            Token::Ident("elif") => branches += 1,
            _ => {}
        }
        within.last_mut().into_iter().for_each(|tokens| *tokens += 1);
        total += 1;
        if matches!(token, Token::ParenOpen | Token::BracketOpen | Token::BraceOpen) {
            within.push(0);
        }
        if total > MOST_TOKENS || branches > MOST_BRANCHES {
            let problem = format!(
                "expected at most {MOST_TOKENS} words and signs within one another in a tag, and {MOST_BRANCHES} `elif`"
            );
            return Err(Error::new(ErrorKind::SyntaxError, problem));
        }
    }
    Ok(())
}

struct Writer {
    out: String,
    /// The line that is being written, counted from 1.
    line: usize,
    /// The names in each macro that is being written, the innermost last.
    named: Vec<BTreeSet<String>>,
    /// For each block that is being written, whether it is a loop; `if` is none.
    within: Vec<bool>,
    /// How many `continue` and `break` stand in no loop, or in a block within one: the engine jumps out of that without its end.
    strays: usize,
}

impl Writer {
    fn put(&mut self, text: &str) {
        self.out.push_str(text);
    }

    /// Goes to a line; only within a tag, where line breaks mean nothing.
    fn go_to(&mut self, line: u16) {
        while self.line < usize::from(line) {
            self.out.push('\n');
            self.line += 1;
        }
    }

    fn statements(&mut self, statements: &[Stmt<'_>]) {
        statements.iter().for_each(|statement| self.statement(statement));
    }

    /// What stands in a block, which is a loop or none.
    fn block(&mut self, statements: &[Stmt<'_>], is_loop: bool) {
        self.within.push(is_loop);
        self.statements(statements);
        self.within.pop();
    }

    fn jump(&mut self, tag: &str) {
        self.strays += usize::from(self.within.last() != Some(&true));
        self.end(tag);
    }

    fn open(&mut self, line: u16, tag: &str) {
        self.put("{% ");
        self.go_to(line);
        self.put(tag);
        self.put(" ");
    }

    fn close(&mut self) {
        self.put(" %}");
    }

    fn end(&mut self, tag: &str) {
        self.put("{% ");
        self.put(tag);
        self.close();
    }

    fn statement(&mut self, statement: &Stmt<'_>) {
        match statement {
            Stmt::Template(template) => self.statements(&template.children),
            Stmt::EmitExpr(emitted) => {
                self.put("{{ ");
                self.expression(&emitted.expr);
                self.put(" }}");
            }
            Stmt::EmitRaw(raw) => {
                self.put("{{ ");
                self.go_to(raw.span().start_line);
                self.text(raw.raw);
                self.put(" }}");
            }
            Stmt::ForLoop(each) => {
                self.open(each.span().start_line, "for");
                self.target(&each.target, false);
                self.put(" in ");
                self.called(EACH, &each.iter);
                if let Some(filter) = &each.filter_expr {
                    self.put(" if ");
                    self.operand(filter);
                }
                self.put(if each.recursive { " recursive" } else { "" });
                self.close();
                self.block(&each.body, true);
                if !each.else_body.is_empty() {
                    self.end("else");
                    self.statements(&each.else_body);
                }
                self.end("endfor");
            }
            Stmt::IfCond(condition) => {
                self.open(condition.span().start_line, "if");
                self.expression(&condition.expr);
                self.close();
                self.statements(&condition.true_body);
                self.otherwise(&condition.false_body);
                self.end("endif");
            }
            Stmt::WithBlock(with) => self.with(with.span().start_line, &with.assignments, &with.body),
            Stmt::Set(set) => {
                self.open(set.span().start_line, "set");
                self.target(&set.target, false);
                self.put(" = ");
                let is_held = sets_attribute(&set.target);
                self.put(if is_held { HELD } else { "" });
                self.put(if is_held { "(" } else { "" });
                self.expression(&set.expr);
                self.put(if is_held { ")" } else { "" });
                self.close();
            }
            Stmt::SetBlock(set) => {
                self.open(set.span().start_line, "set");
                self.target(&set.target, false);
                if let Some(filter) = &set.filter {
                    self.put(" | ");
                    self.expression(filter);
                    if sets_attribute(&set.target) {
                        self.put(" | ");
                        self.put(HELD);
                    }
                }
                self.close();
                self.scope(&set.body);
                self.end("endset");
            }
            Stmt::AutoEscape(escape) => {
                self.open(escape.span().start_line, "autoescape");
                self.expression(&escape.enabled);
                self.close();
                self.block(&escape.body, false);
                self.end("endautoescape");
            }
            Stmt::FilterBlock(block) => {
                self.open(block.span().start_line, "filter");
                self.expression(&block.filter);
                self.close();
                self.scope(&block.body);
                self.end("endfilter");
            }
            Stmt::Block(block) => {
                self.open(block.span().start_line, "block");
                self.put(block.name);
                self.put(if block.required { " required" } else { "" });
                self.close();
                self.block(&block.body, false);
                self.end("endblock");
            }
            Stmt::Import(import) => {
                self.open(import.span().start_line, "import");
                self.operand(&import.expr);
                self.put(" as ");
                self.target(&import.name, false);
                self.close();
            }
            Stmt::FromImport(import) => {
                self.open(import.span().start_line, "from");
                self.operand(&import.expr);
                self.put(" import ");
                for (index, (name, alias)) in import.names.iter().enumerate() {
                    self.put(if index > 0 { ", " } else { "" });
                    self.target(name, false);
                    if let Some(alias) = alias {
                        self.put(" as ");
                        self.target(alias, false);
                    }
                }
                self.close();
            }
            Stmt::Extends(extends) => {
                self.open(extends.span().start_line, "extends");
                self.expression(&extends.name);
                self.close();
            }
            Stmt::Include(include) => {
                self.open(include.span().start_line, "include");
                self.operand(&include.name);
                self.put(if include.ignore_missing { " ignore missing" } else { "" });
                self.close();
            }
            Stmt::Macro(defined) => {
                self.open(defined.span().start_line, "macro");
                self.put(defined.name);
                self.parameters(defined);
                self.close();
                self.body(defined);
                self.end("endmacro");
            }
            Stmt::CallBlock(block) => {
                self.open(block.call.span().start_line, "call");
                if !block.macro_decl.args.is_empty() {
                    self.parameters(&block.macro_decl);
                    self.put(" ");
                }
                self.call(&block.call);
                self.close();
                self.body(&block.macro_decl);
                self.end("endcall");
            }
            Stmt::Continue(_) => self.jump("continue"),
            Stmt::Break(_) => self.jump("break"),
            Stmt::Do(done) => {
                self.open(done.span().start_line, "do");
                self.call(&done.call);
                self.close();
            }
        }
    }

    /// What follows an `if`; further conditions are no deeper than the first.
    fn otherwise(&mut self, statements: &[Stmt<'_>]) {
        match statements {
            [] => {}
            [Stmt::IfCond(condition)] => {
                self.open(condition.span().start_line, "elif");
                self.expression(&condition.expr);
                self.close();
                self.statements(&condition.true_body);
                self.otherwise(&condition.false_body);
            }
            statements => {
                self.end("else");
                self.statements(statements);
            }
        }
    }

    /// What is assigned to; several names stand in brackets where they are within something else.
    fn target(&mut self, target: &Expr<'_>, within: bool) {
        match target {
            Expr::List(names) => {
                let within = within || names.items.len() == 1;
                self.put(if within { "(" } else { "" });
                for (index, name) in names.items.iter().enumerate() {
                    self.put(if index > 0 { ", " } else { "" });
                    self.target(name, true);
                }
                self.put(if names.items.len() == 1 { "," } else { "" });
                self.put(if within { ")" } else { "" });
            }
            Expr::GetAttr(attribute) => self.attribute(attribute),
            target => self.expression(target),
        }
    }
}

/// Whether something is set on a namespace.
fn sets_attribute(target: &Expr<'_>) -> bool {
    match target {
        Expr::List(targets) => targets.items.iter().any(sets_attribute),
        target => matches!(target, Expr::GetAttr(_)),
    }
}
