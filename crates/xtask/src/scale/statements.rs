//! The statements of the service with parameters to measure them: `.sqlx` has the queries, `statements/` the parameters.

use std::{collections::BTreeMap, fs, path::Path};

use serde::Deserialize;
use serde_json::Value;

use crate::workspace::{self, Result};

/// The directory with the parameters: a file per module, and `bindings.toml`.
const DIR: &str = "crates/xtask/src/scale/statements";

/// A query with parameters.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Statement {
    /// `file:function`.
    pub at: String,
    /// Which of several measurements of the query it is.
    pub variant: Option<String>,
    /// The operation or the worker.
    pub used_by: String,
    /// SQL that runs before, in the same transaction.
    pub before: Option<String>,
    /// An SQL expression for each parameter.
    pub parameters: Vec<String>,
    /// The parameters' types.
    pub types: Vec<String>,
    /// Why its cost may grow with the history; `None`: it must not.
    pub grows_because: Option<String>,
    /// The query.
    pub sql: String,
}

impl Statement {
    /// Returns the module of `src` that it belongs to.
    pub fn module(&self) -> &str {
        self.at.split('/').nth(1).unwrap_or_default()
    }

    /// Whether it has no plan.
    pub fn is_utility(&self) -> bool {
        self.sql.starts_with("lock table")
    }
}

/// An entry of a file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    at: String,
    /// A part of the query that no other query has, with single spaces. `;` stands for its end.
    query: String,
    variant: Option<String>,
    used_by: String,
    before: Option<String>,
    #[serde(default)]
    parameters: Vec<String>,
    grows_because: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entries {
    statement: Vec<Entry>,
}

/// A query as `.sqlx` describes it.
#[derive(Debug)]
struct Query {
    sql: String,
    types: Vec<String>,
    /// With single spaces and a `;` at the end.
    normalized: String,
}

/// The names of values, each with SQL that selects it.
///
/// # Errors
///
/// The file can't be read.
pub fn bindings() -> Result<Vec<(String, String)>> {
    #[derive(Deserialize)]
    struct Binding {
        name: String,
        sql: String,
    }
    #[derive(Deserialize)]
    struct Bindings {
        binding: Vec<Binding>,
    }
    let read: Bindings = parsed(&workspace::root().join(DIR).join("bindings.toml"))?;
    Ok(read.binding.into_iter().map(|binding| (binding.name, binding.sql)).collect())
}

/// Reads the statements, in the order of their files.
///
/// # Errors
///
/// A query without parameters, parameters without a query, or a function that does not exist.
pub fn read(root: &Path) -> Result<Vec<Statement>> {
    let queries = queries(&root.join(".sqlx"))?;
    let mut uses: BTreeMap<usize, Vec<Option<String>>> = BTreeMap::new();
    let mut statements = Vec::new();
    let mut problems = Vec::new();
    for entry in entries(&root.join(DIR))? {
        let found: Vec<usize> =
            (0..queries.len()).filter(|n| queries[*n].normalized.contains(entry.query.as_str())).collect();
        let [only] = found[..] else {
            problems.push(format!("{}: {} queries have {:?}", entry.at, found.len(), entry.query));
            continue;
        };
        let query = &queries[only];
        problems.extend(problem(&entry, query, root));
        let variants = uses.entry(only).or_default();
        if variants.contains(&entry.variant) {
            problems.push(format!("{}: a query has two entries without different variants", entry.at));
        }
        variants.push(entry.variant.clone());
        statements.push(statement(entry, query));
    }
    for (n, query) in queries.iter().enumerate().filter(|(n, _)| !uses.contains_key(n)) {
        let parameters = query.types.join(", ");
        problems.push(format!("query {n} has no entry in {DIR}: {} ({parameters})", query.normalized));
    }
    if problems.is_empty() { Ok(statements) } else { Err(problems.join("\n").into()) }
}

/// Checks an entry against its query and the source.
fn problem(entry: &Entry, query: &Query, root: &Path) -> Option<String> {
    let (given, wanted) = (entry.parameters.len(), query.types.len());
    if given != wanted {
        return Some(format!("{}: {given} parameters for a query with {wanted}", entry.at));
    }
    let (file, function) = entry.at.split_once(':')?;
    let source = fs::read_to_string(root.join(file)).unwrap_or_default();
    let is_there = source.contains(&format!("fn {function}(")) || source.contains(&format!("fn {function}<"));
    (!is_there).then(|| format!("{}: there is no such function", entry.at))
}

fn statement(entry: Entry, query: &Query) -> Statement {
    let Entry { at, variant, used_by, before, parameters, grows_because, .. } = entry;
    let (types, sql) = (query.types.clone(), query.sql.clone());
    Statement { at, variant, used_by, before, parameters, types, grows_because, sql }
}

fn entries(dir: &Path) -> Result<Vec<Entry>> {
    let mut files = Vec::new();
    for file in fs::read_dir(dir)? {
        files.push(file?.path());
    }
    files.retain(|file| file.file_name().is_some_and(|name| name != "bindings.toml"));
    files.sort();
    let mut all = Vec::new();
    for file in files {
        all.extend(parsed::<Entries>(&file)?.statement);
    }
    Ok(all)
}

fn parsed<T: for<'a> Deserialize<'a>>(path: &Path) -> Result<T> {
    let text = fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    toml::from_str(&text).map_err(|error| format!("{}: {error}", path.display()).into())
}

fn queries(dir: &Path) -> Result<Vec<Query>> {
    let mut queries = Vec::new();
    for file in fs::read_dir(dir)? {
        let data: Value = serde_json::from_slice(&fs::read(file?.path())?)?;
        let sql = data["query"].as_str().ok_or("query data without a query")?.to_owned();
        let parameters = data["describe"]["parameters"]["Left"].as_array().cloned().unwrap_or_default();
        let types: Vec<String> = parameters.iter().filter_map(Value::as_str).map(sql_type).collect();
        if types.len() != parameters.len() {
            return Err(format!("a parameter without a type: {sql}").into());
        }
        queries.push(Query { normalized: normalized(&sql), types, sql });
    }
    queries.sort_by(|a, b| a.normalized.cmp(&b.normalized));
    Ok(queries)
}

/// Returns the SQL name of a type as sqlx calls it.
fn sql_type(name: &str) -> String {
    match name.strip_suffix("Array") {
        Some(element) => format!("{}[]", element.to_lowercase()),
        None => name.to_lowercase(),
    }
}

fn normalized(sql: &str) -> String {
    let without_comments = sql.lines().map(|line| line.split("-- ").next().unwrap_or_default());
    let words: Vec<String> = without_comments.flat_map(str::split_whitespace).map(str::to_owned).collect();
    words.join(" ") + ";"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_query_of_the_service_has_parameters() {
        let statements = read(&workspace::root()).unwrap_or_else(|error| panic!("{error}"));
        assert!(statements.len() > 200, "only {} statements", statements.len());
    }

    #[test]
    fn queries_are_compared_without_comments_and_line_breaks() {
        assert_eq!(normalized("select 1\n   -- of all\n  from t"), "select 1 from t;");
        assert_eq!((sql_type("UuidArray"), sql_type("Int8")), ("uuid[]".to_owned(), "int8".to_owned()));
    }
}
