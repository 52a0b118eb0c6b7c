//! `refresh`: a pack follows a tree that has moved on. Each replacement that no longer applies is merged three ways: the text at the time
//! of sealing, today's text, and the text at the time of sealing with the replacement.

use serde_json::json;
use worktree::Replace;

use super::{Context, Output};
use crate::{
    Result,
    export::{Clean, git},
    pack::load,
};

/// Shows what each stale replacement must become.
pub(super) fn run(context: &Context, wanted: &str) -> Result<Output> {
    let drill = load::find(&context.checkout, wanted)?;
    let sealed = drill.folder.join(load::FILES[1]);
    let text = std::fs::read_to_string(&sealed).map_err(|error| format!("{}: {error}", sealed.display()))?;
    let base: crate::pack::Pack = toml::from_str(&crate::pack::seal::open(&text)?)?;
    let pack = drill.pack()?;
    let clean = Clean::read(&context.checkout)?;
    let wrong = pack.wrong.iter().map(|wrong| (format!("wrong \"{}\"", wrong.name), &wrong.replace));
    let commits = pack.commit.iter().map(|commit| (format!("commit \"{}\"", commit.message.trim()), &commit.replace));
    let lists = commits.chain([("fault".to_owned(), &pack.fault.replace), ("fix".to_owned(), &pack.fix.replace)]);
    let (mut text, mut stale, mut unmerged) = (String::new(), 0, 0);
    for (owner, replacements) in lists.chain(wrong) {
        for replacement in replacements {
            let file = &replacement.file;
            let (Some(then), Some(now)) = (base.base.get(file), clean.tree.get(file)) else { continue };
            let now = String::from_utf8_lossy(now);
            // What the fault has written is not in the clean text: such a replacement follows the fault's.
            if now.matches(&replacement.from).count() == 1 || then.matches(&replacement.from).count() != 1 {
                continue;
            }
            stale += 1;
            match git::merge(&now, then, &replacement.replaced(then)?)? {
                Some(merged) => text.push_str(&format!("{owner}:\n{}\n", block(&smallest(file, &now, &merged)))),
                None => {
                    unmerged += 1;
                    text.push_str(&format!(
                        "{owner}: {file} has changed in the same place; write it anew:\n{}\n",
                        replacement.from
                    ));
                }
            }
        }
    }
    if stale == 0 {
        text = format!("every replacement of drill {} still applies", drill.number);
    } else {
        text.push_str(&format!("Replace these in {}, then `cargo drill verify {}`.", load::FILES[2], drill.number));
    }
    Ok(Output { text, json: json!({ "stale": stale, "unmerged": unmerged }), passed: unmerged == 0 })
}

/// The smallest replacement of whole lines that makes `after` from `before`, whose old text occurs once.
fn smallest(file: &str, before: &str, after: &str) -> Replace {
    let (old, new): (Vec<&str>, Vec<&str>) =
        (before.split_inclusive('\n').collect(), after.split_inclusive('\n').collect());
    let same = old.iter().zip(&new).take_while(|(a, b)| a == b).count();
    let rest = old.len().min(new.len()) - same;
    let same_end = old.iter().rev().zip(new.iter().rev()).take(rest).take_while(|(a, b)| a == b).count();
    let (mut start, mut end) = (same, same_end);
    loop {
        let from = old[start..old.len() - end].concat();
        if (!from.is_empty() && before.matches(&from).count() == 1) || (start == 0 && end == 0) {
            let to = new[start..new.len() - end].concat();
            return Replace { file: file.to_owned(), from, to };
        }
        start = start.saturating_sub(1);
        end = end.saturating_sub(1);
    }
}

/// A replacement in TOML.
fn block(replacement: &Replace) -> String {
    let Replace { file, from, to } = replacement;
    format!("file = \"{file}\"\nfrom = '''\n{from}'''\nto = '''\n{to}'''\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn smallest_replacement_occurs_once_and_gives_the_merged_text() {
        let before = "a\nb\nx\na\nb\ny\n";
        let after = "a\nb\nx\na\nc\ny\n";
        let replace = smallest("f", before, after);
        assert_eq!(replace.replaced(before).expect("once"), after);
        assert_eq!(replace.from, "a\nb\ny\n");
        let appended = smallest("f", "a\n", "a\nb\n");
        assert_eq!(appended.replaced("a\n").expect("once"), "a\nb\n");
    }
}
