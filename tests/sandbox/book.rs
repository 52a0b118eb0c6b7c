//! The design book: its pages, its search and its diagrams, without a token and without another host.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeSet;

use crate::harness::App;

#[tokio::test(flavor = "multi_thread")]
async fn every_chapter_links_to_the_next_and_its_files_are_served() {
    let app = App::start().await;
    let client = app.rider().await;
    let mut next = Some("/book".to_owned());
    let mut read = BTreeSet::new();
    let mut files = BTreeSet::new();
    while let Some(path) = next {
        let page = client.get(&path).await;
        let kind = page.header("content-type");
        assert_eq!((page.status.as_u16(), kind), (200, Some("text/html; charset=utf-8")), "{path}");
        assert!(page.header("content-security-policy").unwrap().starts_with("default-src 'self';"), "{path}");
        let text = String::from_utf8(page.bytes.to_vec()).unwrap();
        assert!(!text.contains("{{"), "{path} has an open placeholder");
        let is_file = |part: &&str| part.starts_with("/book/files/") || part.starts_with("/book/images/");
        files.extend(text.split('"').filter(is_file).map(str::to_owned));
        next = text.split("rel=\"next\" href=\"").nth(1).and_then(|rest| rest.split('"').next()).map(str::to_owned);
        assert!(read.insert(path.clone()), "{path} follows itself");
    }
    assert_eq!(read.len(), 16, "{read:?}");
    assert!(files.len() >= 4, "{files:?}");
    for path in &files {
        assert_eq!(client.get(path).await.status, 200, "{path}");
    }
    for missing in
        ["/book/nothing", "/book/README", "/book/01-requirements.md", "/book/files/book.html", "/book/images/"]
    {
        client.get(missing).await.expect_problem(404, "not_found");
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn search_reads_every_section_of_the_book() {
    let app = App::start().await;
    let sections = app.rider().await.get("/book/index.json").await.expect(200);
    let sections = sections.as_array().unwrap();
    let chapter = |section: &serde_json::Value| section["chapter"].as_str().unwrap().to_owned();
    assert_eq!(sections.iter().map(chapter).collect::<BTreeSet<_>>().len(), 16);
    let paths: BTreeSet<_> = sections.iter().map(|section| section["path"].as_str().unwrap()).collect();
    assert_eq!(paths.len(), sections.len(), "each section has an address of its own");
    assert!(paths.contains("/book/05-high-level-design#good-better-best"), "{paths:?}");
    app.stop().await;
}
