//! From source text to what every module defines, brings in and names.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use proc_macro2::{Delimiter, Group, TokenStream, TokenTree};

/// What an item is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Type,
    Value,
}

/// A name that `use` brings in.
#[derive(Debug)]
pub(crate) struct Use {
    pub(crate) name: String,
    pub(crate) path: Vec<String>,
    /// It has a visibility: others get it here.
    pub(crate) is_passed_on: bool,
}

/// One module.
#[derive(Debug, Default)]
pub(crate) struct Module {
    /// Relative to the root of the crate.
    pub(crate) file: String,
    pub(crate) defines: BTreeMap<String, Kind>,
    pub(crate) uses: Vec<Use>,
    /// Paths of two and more segments outside of `use`.
    pub(crate) paths: Vec<Vec<String>>,
    /// Every word outside of `use`.
    pub(crate) words: BTreeSet<String>,
}

/// The modules of a crate by their paths; that of the root is empty.
#[derive(Debug, Default)]
pub(crate) struct Modules(pub(crate) BTreeMap<Vec<String>, Module>);

/// Where the text of files comes from.
type Texts<'a> = &'a dyn Fn(&Path) -> Option<String>;

/// Where a module is: its path, its file, and the folder of its children.
struct Place {
    path: Vec<String>,
    file: PathBuf,
    folder: PathBuf,
}

impl Modules {
    /// The crate whose root is this file.
    pub(crate) fn read(root: &Path) -> Self {
        let folder = root.parent().unwrap();
        Self::from(Path::new(root.file_name().unwrap()), &|file| fs::read_to_string(folder.join(file)).ok())
    }

    /// The crate of these files.
    pub(crate) fn of(root: &Path, files: &BTreeMap<PathBuf, String>) -> Self {
        Self::from(root, &|file| files.get(file).cloned())
    }

    fn from(root: &Path, texts: Texts<'_>) -> Self {
        let mut modules = Self::default();
        modules.file(&Place { path: Vec::new(), file: root.to_owned(), folder: PathBuf::new() }, texts);
        modules
    }

    fn file(&mut self, place: &Place, texts: Texts<'_>) {
        let text = texts(&place.file).unwrap_or_else(|| panic!("{} is missing", place.file.display()));
        let tokens: TokenStream = text.parse().unwrap();
        self.module(place, tokens, texts);
    }

    fn module(&mut self, place: &Place, tokens: TokenStream, texts: Texts<'_>) {
        let mut reader = Reader::default();
        reader.items(tokens);
        let Reader { mut module, children } = reader;
        place.file.to_str().unwrap().clone_into(&mut module.file);
        self.0.insert(place.path.clone(), module);
        for (name, body) in children {
            let mut path = place.path.clone();
            path.push(name.clone());
            let folder = place.folder.join(&name);
            if let Some(body) = body {
                self.module(&Place { path, file: place.file.clone(), folder }, body.stream(), texts);
            } else {
                let files = [place.folder.join(format!("{name}.rs")), folder.join("mod.rs")];
                let file = files.into_iter().find(|file| texts(file).is_some());
                let file = file.unwrap_or_else(|| panic!("mod {name} of {} has no file", place.file.display()));
                self.file(&Place { path, file, folder }, texts);
            }
        }
    }
}

/// Reads the tokens of one module.
#[derive(Default)]
struct Reader {
    module: Module,
    /// Modules within: with a body, or with a file of their own.
    children: Vec<(String, Option<Group>)>,
}

type Tokens = std::iter::Peekable<proc_macro2::token_stream::IntoIter>;

impl Reader {
    /// Items, of the module itself.
    fn items(&mut self, tokens: TokenStream) {
        self.scan(tokens, true);
    }

    fn scan(&mut self, tokens: TokenStream, is_module: bool) {
        let mut tokens = tokens.into_iter().peekable();
        let (mut has_visibility, mut before) = (false, None);
        while let Some(token) = tokens.next() {
            match &token {
                TokenTree::Punct(punct) if punct.as_char() == '#' => {
                    if is_for_tests(&mut tokens) {
                        skip_item(&mut tokens);
                    }
                    continue;
                }
                TokenTree::Group(group) if is_visibility(before.as_deref(), group) => continue,
                TokenTree::Group(group) => self.scan(group.stream(), false),
                TokenTree::Ident(ident) => {
                    let word = ident.to_string();
                    self.word(&word, before.as_deref(), &mut tokens, (is_module, has_visibility));
                    has_visibility = word == "pub";
                    before = Some(word);
                    continue;
                }
                TokenTree::Punct(_) | TokenTree::Literal(_) => {}
            }
            has_visibility = false;
            before = Some(token.to_string());
        }
    }

    fn word(
        &mut self,
        word: &str,
        before: Option<&str>,
        tokens: &mut Tokens,
        (is_module, has_visibility): (bool, bool),
    ) {
        // A field or a method; a lifetime.
        if matches!(before, Some("." | "'")) {
            return;
        }
        match word {
            "use" => return self.brings(tokens, has_visibility),
            "mod" if is_module => return self.child(tokens),
            "macro_rules" if is_module => {
                tokens.next();
                return self.defines(tokens, Kind::Value);
            }
            "struct" | "enum" | "union" | "trait" | "type" if is_module => return self.defines(tokens, Kind::Type),
            "fn" | "const" | "static" if is_module => return self.defines(tokens, Kind::Value),
            _ => {}
        }
        self.module.words.insert(word.to_owned());
        let mut path = vec![word.to_owned()];
        while takes_colons(tokens) {
            match tokens.peek() {
                Some(TokenTree::Ident(next)) => path.push(next.to_string()),
                _ => break,
            }
            tokens.next();
        }
        if path.len() > 1 {
            self.module.paths.push(path);
        }
    }

    /// The name after the keyword of an item, if one comes.
    fn defines(&mut self, tokens: &mut Tokens, kind: Kind) {
        if let Some(TokenTree::Ident(name)) = tokens.peek()
            && !["fn", "unsafe", "async", "mut", "_"].contains(&name.to_string().as_str())
        {
            self.module.defines.insert(name.to_string(), kind);
            tokens.next();
        }
    }

    fn child(&mut self, tokens: &mut Tokens) {
        let name = tokens.next().unwrap().to_string();
        match tokens.next() {
            Some(TokenTree::Group(body)) => self.children.push((name, Some(body))),
            _ => self.children.push((name, None)),
        }
    }

    fn brings(&mut self, tokens: &mut Tokens, is_passed_on: bool) {
        let tree: TokenStream = tokens.take_while(|token| token.to_string() != ";").collect();
        let mut names = Vec::new();
        flatten(tree, &[], &mut names);
        self.module.uses.extend(names.into_iter().map(|(name, path)| Use { name, path, is_passed_on }));
    }
}

/// The names and paths of a tree of `use`.
fn flatten(tree: TokenStream, before: &[String], names: &mut Vec<(String, Vec<String>)>) {
    let (mut path, mut name) = (before.to_vec(), None);
    let mut tokens = tree.into_iter();
    let mut end = |path: &mut Vec<String>, name: Option<String>| {
        if path.last().is_some_and(|last| last == "self") && path.len() > 1 {
            path.pop();
        }
        if path.len() > before.len() || name.is_some() {
            names.push((name.unwrap_or_else(|| path.last().unwrap().clone()), path.clone()));
        }
        *path = before.to_vec();
    };
    let mut groups = Vec::new();
    while let Some(token) = tokens.next() {
        match token {
            TokenTree::Ident(ident) if ident == "as" => name = tokens.next().map(|alias| alias.to_string()),
            TokenTree::Ident(ident) => path.push(ident.to_string()),
            TokenTree::Punct(punct) if punct.as_char() == '*' => path.push("*".to_owned()),
            TokenTree::Punct(punct) if punct.as_char() == ',' => end(&mut path, name.take()),
            TokenTree::Group(group) => groups.push((group.stream(), std::mem::replace(&mut path, before.to_vec()))),
            TokenTree::Punct(_) | TokenTree::Literal(_) => {}
        }
    }
    end(&mut path, name);
    for (tree, path) in groups {
        flatten(tree, &path, names);
    }
}

/// `::`, if it comes.
fn takes_colons(tokens: &mut Tokens) -> bool {
    let is_colon = |token: &TokenTree| matches!(token, TokenTree::Punct(punct) if punct.as_char() == ':');
    let mut ahead = tokens.clone();
    if ahead.next().as_ref().is_some_and(is_colon) && ahead.next().as_ref().is_some_and(is_colon) {
        *tokens = ahead;
        return true;
    }
    false
}

/// After `#`: whether the attribute keeps what follows for tests.
fn is_for_tests(tokens: &mut Tokens) -> bool {
    tokens.next_if(|token| token.to_string() == "!");
    tokens.next().is_some_and(|attribute| attribute.to_string().replace(' ', "") == "[cfg(test)]")
}

/// To the end of an item: its block, or a semicolon.
fn skip_item(tokens: &mut Tokens) {
    for token in tokens {
        match token {
            TokenTree::Group(group) if group.delimiter() == Delimiter::Brace => return,
            TokenTree::Punct(punct) if punct.as_char() == ';' => return,
            _ => {}
        }
    }
}

/// `(crate)`, `(super)` or `(in …)` after `pub`.
fn is_visibility(before: Option<&str>, group: &Group) -> bool {
    before == Some("pub") && group.delimiter() == Delimiter::Parenthesis
}
