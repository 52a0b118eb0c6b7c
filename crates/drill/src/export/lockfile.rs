//! Takes packages out of `Cargo.lock`, and those that only they need, so that cargo leaves the file as it is.

use std::collections::BTreeSet;

/// Returns the lock file without these workspace packages.
pub fn without(lock: &str, packages: &[&str]) -> String {
    let mut blocks: Vec<&str> = lock.split("[[package]]\n").collect();
    let header = if blocks.is_empty() { "" } else { blocks.remove(0) };
    let kept: Vec<&str> = blocks.into_iter().filter(|block| !packages.contains(&field(block, "name"))).collect();
    let mut reached: BTreeSet<(&str, &str)> = BTreeSet::new();
    // Packages without a source are members of the workspace.
    let mut open: Vec<&str> = kept.iter().filter(|block| field(block, "source").is_empty()).copied().collect();
    while let Some(block) = open.pop() {
        if !reached.insert((field(block, "name"), field(block, "version"))) {
            continue;
        }
        for dependency in dependencies(block) {
            let mut words = dependency.split(' ');
            let (name, version) = (words.next().unwrap_or_default(), words.next());
            let fits = |other: &&&str| {
                field(other, "name") == name && version.is_none_or(|version| field(other, "version") == version)
            };
            open.extend(kept.iter().filter(fits).copied());
        }
    }
    let needed = kept.iter().filter(|block| reached.contains(&(field(block, "name"), field(block, "version"))));
    let mut text = header.to_owned();
    for block in needed {
        text.push_str("[[package]]\n");
        text.push_str(block.trim_end());
        text.push_str("\n\n");
    }
    format!("{}\n", text.trim_end())
}

/// Returns the value of a field of a package; empty if there is none.
fn field<'a>(block: &'a str, name: &str) -> &'a str {
    let line = block.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(" = "));
    line.unwrap_or_default().trim_matches('"')
}

fn dependencies(block: &str) -> impl Iterator<Item = &str> {
    let list = block.split_once("dependencies = [\n").map_or("", |(_, rest)| rest);
    list.lines().take_while(|line| *line != "]").map(|line| line.trim().trim_end_matches(',').trim_matches('"'))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOCK: &str = r#"# generated
version = 4

[[package]]
name = "a"
version = "1.0.0"
source = "registry"
dependencies = [
 "b 1.0.0",
]

[[package]]
name = "b"
version = "1.0.0"
source = "registry"

[[package]]
name = "b"
version = "2.0.0"
source = "registry"

[[package]]
name = "main"
version = "0.1.0"
dependencies = [
 "a",
]

[[package]]
name = "tool"
version = "0.1.0"
dependencies = [
 "b 2.0.0",
 "main",
]
"#;

    #[test]
    fn only_what_the_package_alone_needs_goes_with_it() {
        let text = without(LOCK, &["tool"]);
        let expected = LOCK.replace("[[package]]\nname = \"b\"\nversion = \"2.0.0\"\nsource = \"registry\"\n\n", "");
        assert_eq!(text, expected[..expected.find("\n[[package]]\nname = \"tool\"").expect("the tool")]);
        assert_eq!(without(LOCK, &[]), LOCK);
    }
}
