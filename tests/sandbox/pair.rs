//! A rehearsal for two over HTTP: what the partner does outlives the service, the marks stay apart until both are handed in, and a link
//! opens no more than it is for.

use std::path::Path;

use reqwest::header::HOST;
use ridematch::startup::Running;
use serde_json::{Value, json};

use super::rehearsal::{get, mark_canned, post, serve, serve_partners, url};
use crate::harness::{ApiResponse, App, free_address};

/// A session for two: its path, and that of the partner, both below the API.
struct Pair {
    session: String,
    partner: String,
}

impl Pair {
    async fn begin(app: &App, service: &Running) -> Self {
        let choice = json!({"cut": "ride-hailing", "minutes": 45, "level": "senior", "seed": 7, "partner": true});
        let made = post(app, service, "/sessions", &choice).await.expect(201);
        let path = made["pair"]["path"].as_str().unwrap().strip_prefix("/rehearse").unwrap();
        Self { session: format!("/sessions/{}", made["id"].as_str().unwrap()), partner: path.to_owned() }
    }

    /// The partner's path for one of their pages.
    fn page(&self, name: &str) -> String {
        format!("{}?page={name}", self.partner)
    }

    async fn candidate_does(&self, app: &App, service: &Running, command: Value) -> Value {
        post(app, service, &self.session, &command).await.expect(200)
    }

    async fn partner_does(&self, app: &App, service: &Running, command: Value) -> Value {
        post(app, service, &self.page("firstpage"), &command).await.expect(200)
    }

    /// Ends the interview, and marks the canned answers.
    async fn reach_marking(&self, app: &App, service: &Running) {
        let mut now = self.candidate_does(app, service, json!({"do": "tick"})).await;
        while now["stage"] == "interview" {
            now = self.candidate_does(app, service, json!({"do": "next"})).await;
        }
        mark_canned(app, service, &self.session, now).await;
    }

    fn report(&self, folder: &Path) -> String {
        let file = format!("rehearsals{}.md", self.session.trim_start_matches("/sessions"));
        std::fs::read_to_string(folder.join(file)).unwrap()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_partner_does_outlives_the_service_and_the_report_shows_the_gap() {
    let (app, folder) = (App::start().await, tempfile::tempdir().unwrap());
    let service = serve(&app, folder.path()).await;
    let pair = Pair::begin(&app, &service).await;
    assert_eq!(get(&app, &service, &pair.session).await.expect(200)["pair"]["is_present"], false);
    let briefed = get(&app, &service, &pair.page("firstpage")).await.expect(200);
    assert_eq!((&briefed["stage"], &briefed["candidate_is_present"]), (&json!("ready"), &json!(true)));
    let started = pair.candidate_does(&app, &service, json!({"do": "start"})).await;
    assert_eq!(started["pair"]["is_present"], true);
    let card = json!({"do": "draft", "kind": "requirements", "fields": {"text": "a ride, and no ratings"}});
    pair.candidate_does(&app, &service, card).await;
    pair.candidate_does(&app, &service, json!({"do": "lock", "kind": "requirements"})).await;
    pair.partner_does(&app, &service, json!({"do": "tick", "observable": "scope-cut"})).await;
    let mirrored = get(&app, &service, &pair.page("firstpage")).await.expect(200);
    assert_eq!(mirrored["cards"][0]["fields"]["text"], "a ride, and no ratings");
    let ball = mirrored["curveballs"][0].clone();
    pair.partner_does(&app, &service, json!({"do": "throw", "curveball": ball["id"]})).await;
    let before =
        pair.partner_does(&app, &service, json!({"do": "ask", "question": mirrored["now"]["choices"][0]["id"]})).await;
    service.stop().await;

    let service = serve(&app, folder.path()).await;
    let seen = get(&app, &service, &pair.session).await.expect(200);
    assert_eq!((&seen["pair"]["is_present"], &seen["pair"]["thrown"][0]["title"]), (&json!(false), &ball["title"]));
    assert_eq!(seen["prompts"].as_array().unwrap().len(), 1);
    let after = get(&app, &service, &pair.page("firstpage")).await.expect(200);
    for member in ["ticks", "prompts", "cards", "observables", "curveballs"] {
        assert_eq!(after[member], before[member], "{member}");
    }
    pair.reach_marking(&app, &service).await;
    let waits = pair.candidate_does(&app, &service, json!({"do": "finish"})).await;
    assert_eq!((&waits["stage"], &waits["result"]), (&json!("waiting"), &Value::Null));
    get(&app, &service, &format!("{}/report", pair.session)).await.expect_problem(409, "invalid_transition");
    let note = "Say what you leave out earlier.";
    let ticked = get(&app, &service, &pair.page("firstpage")).await.expect(200)["marking"]["ticks"].clone();
    let marks = json!({"do": "mark", "ticks": ticked, "communication": 2, "note": note});
    pair.partner_does(&app, &service, marks).await;
    assert!(!get(&app, &service, &pair.session).await.expect(200).to_string().contains(note));
    let done = pair.partner_does(&app, &service, json!({"do": "hand_in"})).await;
    let gap = &done["result"]["gap"];
    assert_eq!(
        (&gap["observables"][0]["id"], &gap["observables"].as_array().unwrap().len()),
        (&json!("scope-cut"), &1)
    );
    assert_eq!(get(&app, &service, &pair.session).await.expect(200)["result"]["gap"], *gap);
    let report = pair.report(folder.path());
    assert!(report.contains("## With your partner") && report.contains(note), "{report}");
    assert!(report.split_whitespace().count() <= 600, "{report}");
    service.stop().await;
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn swap_makes_one_session_in_which_the_partner_is_the_candidate() {
    let (app, folder) = (App::start().await, tempfile::tempdir().unwrap());
    let service = serve(&app, folder.path()).await;
    let pair = Pair::begin(&app, &service).await;
    let swap = async |path: &str| post(&app, &service, &format!("{path}/swap"), &json!({})).await;
    swap(&pair.session).await.expect_problem(409, "invalid_transition");
    pair.candidate_does(&app, &service, json!({"do": "start"})).await;
    pair.reach_marking(&app, &service).await;
    pair.candidate_does(&app, &service, json!({"do": "finish"})).await;
    pair.partner_does(&app, &service, json!({"do": "hand_in"})).await;
    let (theirs, ours) = (swap(&pair.partner).await.expect(201), swap(&pair.session).await.expect(201));
    let (theirs, ours) = (theirs["path"].as_str().unwrap(), ours["path"].as_str().unwrap());
    let candidate = theirs.strip_prefix("/rehearse").unwrap();
    let shown = get(&app, &service, candidate).await.expect(200);
    assert_eq!((&shown["setup"]["cut"], &shown["stage"]), (&json!("payments"), &json!("ready")));
    assert_eq!(shown["pair"]["path"], Value::Null, "a guest has no link to the partner's page");
    let as_owner = format!("/sessions/{}", shown["id"].as_str().unwrap());
    let problem = get(&app, &service, &as_owner).await.expect_problem(404, "not_found");
    assert!(problem["detail"].as_str().unwrap().contains("You are the partner"), "{problem}");
    // As if the service had been killed between the two files: the next request makes the session.
    let file = folder.path().join(format!("rehearsals/{}.json", shown["id"].as_str().unwrap()));
    std::fs::remove_file(file).unwrap();
    assert_eq!(swap(&pair.session).await.expect(201)["path"], ours);
    assert_eq!(post(&app, &service, candidate, &json!({"do": "start"})).await.expect(200)["stage"], "interview");
    let partner = format!("{}?page=firstpage", ours.strip_prefix("/rehearse").unwrap());
    assert_eq!(get(&app, &service, &partner).await.expect(200)["stage"], "interview");
    let listed = get(&app, &service, "/sessions").await.expect(200);
    let line = listed["sessions"].as_array().unwrap().iter().find(|one| one["is_guest"] == true).unwrap();
    assert_eq!((listed["sessions"].as_array().unwrap().len(), &line["path"]), (2, &json!(ours)));
    service.stop().await;
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_requests_of_a_partner_are_problems_that_name_the_field() {
    let (app, folder) = (App::start().await, tempfile::tempdir().unwrap());
    let service = serve(&app, folder.path()).await;
    let pair = Pair::begin(&app, &service).await;
    let pointer = |problem: Value| problem["errors"][0]["pointer"].as_str().unwrap_or_default().to_owned();
    // Links that name nothing, or another role, or lack their secret.
    let (known, key) = pair.partner.rsplit_once('-').unwrap();
    let as_candidate = pair.partner.replace("/partner/", "/candidate/");
    for wrong in [format!("{known}-{}", "0".repeat(key.len())), known.to_owned(), "/partner/x".to_owned()] {
        let problem = get(&app, &service, &format!("{wrong}?page=firstpage")).await.expect_problem(404, "not_found");
        assert_eq!(pointer(problem), "token", "{wrong}");
    }
    assert_eq!(pointer(get(&app, &service, &as_candidate).await.expect_problem(404, "not_found")), "token");
    // Pages that do not say who they are, and a second one.
    assert_eq!(pointer(get(&app, &service, &pair.partner).await.expect_problem(400, "malformed")), "page");
    let short = get(&app, &service, &pair.page("x")).await.expect_problem(422, "invalid_request");
    assert_eq!(pointer(short), "page");
    get(&app, &service, &pair.page("firstpage")).await.expect(200);
    for second in [
        get(&app, &service, &pair.page("secondpage")).await,
        post(&app, &service, &pair.page("secondpage"), &json!({"do": "hand_in"})).await,
    ] {
        let problem = second.expect_problem(409, "invalid_transition");
        assert!(problem["detail"].as_str().unwrap().contains("Another page has this link"), "{problem}");
        assert_eq!(pointer(problem), "page");
    }
    // What a partner may not do, and what is too long, or too late.
    let page = pair.page("firstpage");
    let card = json!({"do": "draft", "kind": "requirements", "fields": {"text": "theirs"}});
    post(&app, &service, &page, &card).await.expect_problem(422, "invalid_request");
    pair.candidate_does(&app, &service, json!({"do": "start"})).await;
    let tick = json!({"do": "tick", "observable": "charm"});
    assert_eq!(pointer(post(&app, &service, &page, &tick).await.expect_problem(422, "invalid_request")), "/observable");
    pair.reach_marking(&app, &service).await;
    let note = json!({"do": "mark", "ticks": [], "communication": 1, "note": "x".repeat(401)});
    assert_eq!(pointer(post(&app, &service, &page, &note).await.expect_problem(422, "invalid_request")), "/note");
    pair.candidate_does(&app, &service, json!({"do": "finish"})).await;
    pair.candidate_does(&app, &service, json!({"do": "finish_alone"})).await;
    let late = json!({"do": "mark", "ticks": [], "communication": 1, "note": ""});
    let problem = post(&app, &service, &page, &late).await.expect_problem(409, "invalid_transition");
    assert!(problem["detail"].as_str().unwrap().contains("closed the session"), "{problem}");
    assert_eq!(pointer(problem), "/do");
    assert_eq!(get(&app, &service, &page).await.expect(200)["stage"], "closed");
    // A tunnel has a name of its own, which opens links and no more.
    let named = |path: &str| app.http.get(url(&service, path)).header(HOST, "tunnel.example");
    ApiResponse::of(named(&page)).await.expect(200);
    ApiResponse::of(named(&pair.session)).await.expect_problem(403, "forbidden");
    service.stop().await;
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn address_for_partners_serves_links_and_nothing_else() {
    let (app, folder, partners) = (App::start().await, tempfile::tempdir().unwrap(), free_address());
    let service = serve_partners(&app, folder.path(), Some(partners)).await;
    let pair = Pair::begin(&app, &service).await;
    let shown = get(&app, &service, &pair.session).await.expect(200);
    assert_eq!(shown["pair"]["base"], format!("http://{partners}"));
    let at_partners = async |path: &str| ApiResponse::of(app.http.get(format!("http://{partners}{path}"))).await;
    let link = shown["pair"]["path"].as_str().unwrap();
    let page = at_partners(link).await;
    assert!(page.status == 200 && page.text().contains("/rehearse/files/partner.js"), "{}", page.text());
    for file in [
        "/rehearse/files/partner.js",
        "/console/dom.js",
        "/shell/shell.css",
        "/problems/page.css",
        "/book/01-requirements",
        "/",
    ] {
        assert_eq!(at_partners(file).await.status, 200, "{file}");
    }
    let answered = at_partners(&format!("/rehearse/api{}", pair.page("firstpage"))).await.expect(200);
    assert_eq!(answered["stage"], "ready");
    assert_eq!(get(&app, &service, &pair.session).await.expect(200)["pair"]["is_present"], true, "one service");
    let session = format!("/rehearse/api{}", pair.session);
    for closed in ["/rehearse", "/rehearse/api/sessions", &session, "/city", "/metrics", "/v1/sandbox/clock"] {
        at_partners(closed).await.expect_problem(404, "not_found");
    }
    service.stop().await;
    let gone = app.http.get(format!("http://{partners}{link}")).send().await;
    assert!(gone.is_err(), "the address is closed with the service");
    app.stop().await;
}
