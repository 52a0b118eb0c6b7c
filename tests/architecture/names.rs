//! Facts about one file: the names it mentions (macro bodies included), its imports, and the length of its functions.
//!
//! Names are kept as written; `resolve.rs` resolves them.

use proc_macro2::{Delimiter, TokenStream, TokenTree};
use syn::{UseTree, spanned::Spanned, visit::Visit};

/// A path as written, or a marker: `.name` for a method call or `.await`, `async`, `{float}` for a literal with a decimal
/// point.
pub struct Mention {
    /// The module it is in, inline modules included.
    pub scope: Vec<String>,
    pub path: Vec<String>,
    pub line: usize,
}

/// A name brought into a module by `use` or `extern crate`; the name is `*` for a glob.
pub struct Import {
    pub scope: Vec<String>,
    pub name: String,
    pub path: Vec<String>,
    pub line: usize,
}

/// A function and the lines from its signature to its closing brace.
pub struct Function {
    pub name: String,
    pub line: usize,
    pub lines: usize,
}

/// The facts that the rules use.
#[derive(Default)]
pub struct Facts {
    pub mentions: Vec<Mention>,
    pub imports: Vec<Import>,
    pub functions: Vec<Function>,
    /// Modules declared here, with or without a body.
    pub modules: Vec<Vec<String>>,
    /// String literals with the line they start on, without documentation.
    pub strings: Vec<(String, usize)>,
    /// Traits declared here, and the last segment of each trait implemented here.
    pub traits: Vec<(String, usize)>,
    pub implemented: Vec<String>,
    pub has_docs: bool,
    pub is_empty: bool,
}

/// Returns the facts of a parsed file, which is module `module`.
pub fn facts(file: &syn::File, module: &[String]) -> Facts {
    let mut scanner = Scanner { scope: module.to_vec(), facts: Facts::default() };
    scanner.visit_file(file);
    scanner.facts.has_docs = file.attrs.iter().any(|attribute| attribute.path().is_ident("doc"));
    scanner.facts.is_empty = file.items.is_empty();
    scanner.facts
}

struct Scanner {
    scope: Vec<String>,
    facts: Facts,
}

impl Scanner {
    fn mention(&mut self, path: Vec<String>, line: usize) {
        self.facts.mentions.push(Mention { scope: self.scope.clone(), path, line });
    }

    fn import(&mut self, name: String, path: Vec<String>, line: usize) {
        self.mention(path.clone(), line);
        self.facts.imports.push(Import { scope: self.scope.clone(), name, path, line });
    }

    fn function(&mut self, sig: &syn::Signature, block: &syn::Block) {
        let line = sig.span().start().line;
        let lines = block.span().end().line + 1 - line;
        self.facts.functions.push(Function { name: sig.ident.to_string(), line, lines });
    }

    fn use_tree(&mut self, mut path: Vec<String>, tree: &UseTree) {
        let line = tree.span().start().line;
        match tree {
            UseTree::Path(inner) => {
                path.push(inner.ident.to_string());
                self.use_tree(path, &inner.tree);
            }
            UseTree::Name(inner) => self.use_name(path, &inner.ident, None, line),
            UseTree::Rename(inner) => self.use_name(path, &inner.ident, Some(&inner.rename), line),
            UseTree::Glob(_) => self.import("*".to_owned(), path, line),
            UseTree::Group(group) => {
                for tree in &group.items {
                    self.use_tree(path.clone(), tree);
                }
            }
        }
    }

    fn use_name(&mut self, mut path: Vec<String>, ident: &syn::Ident, rename: Option<&syn::Ident>, line: usize) {
        // `a::{self}` imports `a`; a bare `use self as x` stays as it is.
        if ident != "self" || path.is_empty() {
            path.push(ident.to_string());
        }
        let name = rename.map(ToString::to_string).or_else(|| path.last().cloned());
        self.import(name.unwrap_or_default(), path, line);
    }

    /// Finds names in unparsed tokens: macro bodies and attribute arguments. With a `prefix` the tokens are the inside of a
    /// `prefix::{…}` group.
    fn tokens(&mut self, stream: TokenStream, prefix: &[String]) {
        let trees: Vec<TokenTree> = stream.into_iter().collect();
        let mut at = 0;
        while let Some(tree) = trees.get(at) {
            at += 1;
            match tree {
                TokenTree::Group(group) => self.tokens(group.stream(), &[]),
                TokenTree::Ident(ident) if follows_dot(&trees, at - 1) => {
                    let called = matches!(trees.get(at), Some(TokenTree::Group(group))
                        if group.delimiter() == Delimiter::Parenthesis);
                    if called || colons(&trees, at) || ident == "await" {
                        self.mention(vec![format!(".{ident}")], ident.span().start().line);
                    }
                }
                TokenTree::Ident(_) => at = self.token_path(&trees, at - 1, prefix),
                TokenTree::Literal(literal) if !follows_dot(&trees, at - 1) => {
                    self.visit_lit(&syn::Lit::new(literal.clone()));
                }
                TokenTree::Literal(_) | TokenTree::Punct(_) => {}
            }
        }
    }

    /// Reads the path that starts at `at` and returns its end.
    fn token_path(&mut self, trees: &[TokenTree], mut at: usize, prefix: &[String]) -> usize {
        let line = trees[at].span().start().line;
        let mut path = prefix.to_vec();
        if path.is_empty() && at >= 2 && colons(trees, at - 2) {
            path.push(String::new());
        }
        while let Some(TokenTree::Ident(ident)) = trees.get(at) {
            path.push(ident.to_string());
            at += 1;
            if !colons(trees, at) {
                break;
            }
            at += 2;
        }
        match trees.get(at) {
            Some(TokenTree::Group(group)) if colons(trees, at.saturating_sub(2)) => {
                self.tokens(group.stream(), &path);
                at += 1;
            }
            // `impl Trait for …` in a macro counts twice: it is expanded for several types.
            Some(TokenTree::Ident(word)) if word == "for" => {
                let name = path.last().cloned().unwrap_or_default();
                self.facts.implemented.extend([name.clone(), name]);
                self.mention(path, line);
            }
            _ => self.mention(path, line),
        }
        at
    }
}

fn colons(trees: &[TokenTree], at: usize) -> bool {
    let colon = |at| matches!(trees.get(at), Some(TokenTree::Punct(p)) if p.as_char() == ':');
    colon(at) && colon(at + 1)
}

/// Whether the token follows a single dot, not the two of a range.
fn follows_dot(trees: &[TokenTree], at: usize) -> bool {
    let dot = |at: Option<usize>| {
        let tree = at.and_then(|at| trees.get(at));
        matches!(tree, Some(TokenTree::Punct(p)) if p.as_char() == '.')
    };
    dot(at.checked_sub(1)) && !dot(at.checked_sub(2))
}

impl<'ast> Visit<'ast> for Scanner {
    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        let start = item.leading_colon.map(|_| String::new());
        self.use_tree(start.into_iter().collect(), &item.tree);
    }

    fn visit_item_extern_crate(&mut self, item: &'ast syn::ItemExternCrate) {
        let krate = if item.ident == "self" { "crate".to_owned() } else { item.ident.to_string() };
        let name = item.rename.as_ref().map_or_else(|| krate.clone(), |(_, name)| name.to_string());
        self.import(name, vec![krate], item.span().start().line);
    }

    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        self.scope.push(item.ident.to_string());
        self.facts.modules.push(self.scope.clone());
        syn::visit::visit_item_mod(self, item);
        self.scope.pop();
    }

    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        self.function(&item.sig, &item.block);
        syn::visit::visit_item_fn(self, item);
    }

    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        self.function(&item.sig, &item.block);
        syn::visit::visit_impl_item_fn(self, item);
    }

    fn visit_trait_item_fn(&mut self, item: &'ast syn::TraitItemFn) {
        if let Some(block) = &item.default {
            self.function(&item.sig, block);
        }
        syn::visit::visit_trait_item_fn(self, item);
    }

    fn visit_item_trait(&mut self, item: &'ast syn::ItemTrait) {
        self.facts.traits.push((item.ident.to_string(), item.ident.span().start().line));
        syn::visit::visit_item_trait(self, item);
    }

    fn visit_item_impl(&mut self, item: &'ast syn::ItemImpl) {
        let implemented = item.trait_.as_ref().and_then(|(path, _)| path.segments.last());
        self.facts.implemented.extend(implemented.map(|segment| segment.ident.to_string()));
        syn::visit::visit_item_impl(self, item);
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let start = path.leading_colon.map(|_| String::new());
        let names = path.segments.iter().map(|segment| segment.ident.to_string());
        self.mention(start.into_iter().chain(names).collect(), path.span().start().line);
        syn::visit::visit_path(self, path);
    }

    fn visit_expr_method_call(&mut self, call: &'ast syn::ExprMethodCall) {
        self.mention(vec![format!(".{}", call.method)], call.method.span().start().line);
        syn::visit::visit_expr_method_call(self, call);
    }

    fn visit_expr_await(&mut self, expr: &'ast syn::ExprAwait) {
        self.mention(vec![".await".to_owned()], expr.await_token.span().start().line);
        syn::visit::visit_expr_await(self, expr);
    }

    fn visit_expr_async(&mut self, expr: &'ast syn::ExprAsync) {
        self.mention(vec!["async".to_owned()], expr.span().start().line);
        syn::visit::visit_expr_async(self, expr);
    }

    fn visit_expr_closure(&mut self, expr: &'ast syn::ExprClosure) {
        if let Some(token) = &expr.asyncness {
            self.mention(vec!["async".to_owned()], token.span().start().line);
        }
        syn::visit::visit_expr_closure(self, expr);
    }

    fn visit_signature(&mut self, sig: &'ast syn::Signature) {
        if let Some(token) = &sig.asyncness {
            self.mention(vec!["async".to_owned()], token.span().start().line);
        }
        syn::visit::visit_signature(self, sig);
    }

    fn visit_lit_float(&mut self, lit: &'ast syn::LitFloat) {
        self.mention(vec!["{float}".to_owned()], lit.span().start().line);
    }

    fn visit_lit_str(&mut self, lit: &'ast syn::LitStr) {
        self.facts.strings.push((lit.value(), lit.span().start().line));
    }

    fn visit_attribute(&mut self, attribute: &'ast syn::Attribute) {
        if !attribute.path().is_ident("doc") {
            syn::visit::visit_attribute(self, attribute);
        }
    }

    fn visit_token_stream(&mut self, stream: &'ast TokenStream) {
        self.tokens(stream.clone(), &[]);
    }
}
