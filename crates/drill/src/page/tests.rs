use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use super::*;

#[derive(Debug)]
struct Fixed;

impl Observer for Fixed {
    fn observe(&self, panel: &str, question: Question) -> BoxFuture<'_, Option<Value>> {
        let answer = (panel == "logs")
            .then(|| json!({"now_s": 9, "entries": [], "left_out": question.from.unwrap_or_default()}));
        Box::pin(async move { answer })
    }
}

/// A service that answers every request with its method and path.
fn service() -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let address = listener.local_addr().expect("its address");
    let answer = |http: actix_web::HttpRequest, body: web::Bytes| async move {
        let text = format!("{} {} {}", http.method(), http.uri(), String::from_utf8_lossy(&body));
        HttpResponse::Ok()
            .insert_header((CONTENT_SECURITY_POLICY, "default-src 'self'; frame-ancestors 'none'"))
            .body(text)
    };
    let server = HttpServer::new(move || App::new().default_service(web::to(answer))).workers(1).disable_signals();
    tokio::spawn(server.listen(listener).expect("it listens").run());
    address
}

struct Running {
    served: Served,
    client: reqwest::Client,
    folder: tempfile::TempDir,
}

fn page(upstream: Option<String>, folder: tempfile::TempDir) -> Running {
    let brief = Brief {
        number: 1,
        title: "A title".to_owned(),
        severity: "SEV2".to_owned(),
        level: Some(1),
        minutes: 30,
        page: "Something is wrong.".to_owned(),
        ticket: "It hurts.".to_owned(),
        is_game: false,
    };
    let upstream = Upstream::new(upstream).expect("a client");
    let notebook = folder.path().join("notes.json");
    let page = Page { brief, upstream, observer: Arc::new(Fixed), notebook, day: None };
    let served = serve((Ipv4Addr::LOCALHOST, 0).into(), page).expect("it listens");
    Running { served, client: launcher::http_client().build().expect("a client"), folder }
}

impl Running {
    async fn get(&self, path: &str) -> (u16, String, BTreeMap<String, String>) {
        let answer = self.client.get(format!("http://{}{path}", self.served.address)).send().await.expect("an answer");
        let headers = answer.headers().iter();
        let headers =
            headers.map(|(name, value)| (name.to_string(), value.to_str().unwrap_or_default().to_owned())).collect();
        (answer.status().as_u16(), answer.text().await.expect("a body"), headers)
    }

    async fn post(&self, path: &str, body: Value) -> (u16, Value) {
        let request = self.client.post(format!("http://{}{path}", self.served.address)).json(&body);
        let answer = request.send().await.expect("an answer");
        let status = answer.status().as_u16();
        (status, serde_json::from_str(&answer.text().await.expect("a body")).unwrap_or_default())
    }
}

#[actix_web::test]
async fn page_shows_its_drill_and_no_other() {
    let running = page(None, tempfile::tempdir().expect("a directory"));
    let (status, body, headers) = running.get("/drills/1").await;
    assert_eq!(status, 200);
    assert!(body.contains("Notebook") && headers["content-security-policy"].contains("frame-ancestors 'none'"));
    assert!(running.get("/drills/1/brief").await.1.contains("It hurts."));
    let (status, body, _) = running.get("/drills/2").await;
    assert_eq!(status, 404);
    assert!(body.contains("/drills/1"), "{body}");
    for (name, ..) in FILES {
        assert_eq!(running.get(&format!("/drills/files/{name}")).await.0, 200, "{name}");
    }
    assert_eq!(running.get("/drills/1/observe/logs?from=3").await.1, r#"{"entries":[],"left_out":3,"now_s":9}"#);
    assert_eq!(running.get("/drills/1/observe/unknown").await.0, 404);
    running.served.stop().await;
}

#[actix_web::test]
async fn notes_are_kept_in_the_file() {
    let running = page(None, tempfile::tempdir().expect("a directory"));
    let (status, notes) = running.post("/drills/1/notes", json!({"at_s": 5, "kind": "logs", "text": "a line"})).await;
    assert_eq!((status, notes[0]["text"].as_str()), (201, Some("a line")));
    let kept = Notebook::open(running.folder.path().join("notes.json")).expect("the file");
    assert_eq!(kept.notes().len(), 1);
    assert_eq!(running.post("/drills/1/notes", json!({"text": "no kind"})).await.0, 400);
    running.served.stop().await;
}

#[actix_web::test]
async fn other_requests_go_to_the_service_and_its_page_may_be_framed_here() {
    let upstream = format!("http://{}", service());
    let running = page(Some(upstream), tempfile::tempdir().expect("a directory"));
    let (status, body, headers) = running.get("/v1/drivers/nearby?lat=1").await;
    assert_eq!((status, body.as_str()), (200, "GET /v1/drivers/nearby?lat=1 "));
    assert_eq!(headers["content-security-policy"], "default-src 'self'; frame-ancestors 'self'");
    let (_, body) = running.post("/v1/quotes", json!({})).await;
    assert_eq!(body, Value::Null, "the text is not JSON");
    running.served.stop().await;
}

#[actix_web::test]
async fn experiments_and_faults_are_locked_and_a_service_that_is_down_is_said() {
    let running = page(None, tempfile::tempdir().expect("a directory"));
    for path in ["/v1/sandbox/kill", "/v1/sandbox/reset", "/v1/sandbox/clock", "/v1/sandbox/provider/faults"] {
        let (status, body) = running.post(path, json!({})).await;
        assert_eq!((status, body["code"].as_str()), (403, Some("locked")), "{path}");
    }
    let (status, body) = running.post("/v1/sandbox/tokens", json!({})).await;
    assert_eq!((status, body["code"].as_str()), (502, Some("service_down")));
    running.served.stop().await;
}

#[test]
fn reads_and_rides_are_not_locked() {
    for (method, path) in
        [(Method::GET, "/v1/sandbox/clock"), (Method::POST, "/v1/trips"), (Method::POST, "/v1/sandbox/tokens")]
    {
        assert!(!is_locked(&method, path), "{method} {path}");
    }
    assert!(is_locked(&Method::DELETE, "/v1/sandbox/provider/faults"));
}
