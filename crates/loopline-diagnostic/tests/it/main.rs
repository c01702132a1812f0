//! How findings look, and that every rule has a page worth reading.

use expect_test::expect;
use loopline_diagnostic::render::{TextOptions, json, sarif, summary, text};
use loopline_diagnostic::{Diagnostic, Fix, RULES, find_rule};
use loopline_source::{SourceFile, Span};

fn finding() -> Diagnostic {
    let file = SourceFile::new("a b/é.yml", "on: push\njobs:\n  tést:\t{runs_on: x}\n");
    let rule = find_rule("ll0201").expect("the rule exists");
    let start = file.text().find("runs_on").expect("it is there") as u32;
    let span = Span::new(start, start + 7);
    let mut finding = Diagnostic::new(rule, &file, span, "unknown key `runs_on` in a job")
        .hint("did you mean `runs-on`?")
        .also(&file, Span::new(4, 8), "started by\x1b[31m this");
    finding.primary.text = "expected one of `runs-on`".to_owned();
    finding.fix = Some(Fix { span, replacement: "runs-on".to_owned() });
    finding
}

#[test]
fn text_shows_the_line_and_obeys_no_escapes() {
    let plain = text(&[finding()], &TextOptions::default());
    expect![[r#"
        error[LL0201]: unknown key `runs_on` in a job
         --> a b/é.yml:3:10
          |
        3 |   tést: {runs_on: x}
          |          ^^^^^^^ expected one of `runs-on`
         ::: a b/é.yml:1:5
          |
        1 | on: push
          |     ---- started by�[31m this

        hint: did you mean `runs-on`?
        hint: `loopline explain LL0201` for details

    "#]]
    .assert_eq(&plain);
    let colored = text(&[finding()], &TextOptions { color: true });
    assert!(colored.starts_with("\x1b[1;31merror[LL0201]\x1b[0m"));
    let escapes = ["\x1b[0m", "\x1b[1m", "\x1b[1;31m", "\x1b[1;34m"];
    let rest = escapes.iter().fold(colored, |rest, escape| rest.replace(escape, ""));
    assert_eq!(rest, plain);
}

#[test]
fn summaries_count() {
    assert_eq!(summary(&[]), "no findings");
    assert_eq!(summary(&[finding()]), "1 error in 1 file");
    assert_eq!(summary(&[finding(), finding()]), "2 errors in 1 file");
}

#[test]
fn json_names_its_form() {
    let document = serde_json::to_string_pretty(&json(&[finding()])).expect("it is JSON");
    expect![[r#"
        {
          "schema": "loopline.diagnostics/v1",
          "diagnostics": [
            {
              "code": "LL0201",
              "name": "workflow-unknown-key",
              "severity": "error",
              "message": "unknown key `runs_on` in a job",
              "file": "a b/é.yml",
              "range": {
                "start": {
                  "line": 3,
                  "column": 10,
                  "offset": 25
                },
                "end": {
                  "line": 3,
                  "column": 17,
                  "offset": 32
                }
              },
              "label": "expected one of `runs-on`",
              "related": [
                {
                  "file": "a b/é.yml",
                  "range": {
                    "start": {
                      "line": 1,
                      "column": 5,
                      "offset": 4
                    },
                    "end": {
                      "line": 1,
                      "column": 9,
                      "offset": 8
                    }
                  },
                  "label": "started by\u001b[31m this"
                }
              ],
              "hints": [
                "did you mean `runs-on`?"
              ],
              "fix": {
                "range": {
                  "start": {
                    "line": 3,
                    "column": 10,
                    "offset": 25
                  },
                  "end": {
                    "line": 3,
                    "column": 17,
                    "offset": 32
                  }
                },
                "replacement": "runs-on"
              }
            }
          ],
          "summary": {
            "errors": 1,
            "warnings": 0,
            "notes": 0
          }
        }"#]]
    .assert_eq(&document);
}

#[test]
fn sarif_has_rules_places_and_fixes() {
    let mut document = sarif(&[finding()], "1.2.3");
    // The pages are long and tested below.
    document["runs"][0]["tool"]["driver"]["rules"][0]["help"] = "...".into();
    let document = serde_json::to_string_pretty(&document).expect("it is JSON");
    expect![[r#"
        {
          "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
          "version": "2.1.0",
          "runs": [
            {
              "tool": {
                "driver": {
                  "name": "loopline",
                  "version": "1.2.3",
                  "informationUri": "https://github.com/loopline-dev/loopline",
                  "rules": [
                    {
                      "id": "LL0201",
                      "name": "workflow-unknown-key",
                      "shortDescription": {
                        "text": "a key does not belong here"
                      },
                      "help": "...",
                      "defaultConfiguration": {
                        "level": "error"
                      }
                    }
                  ]
                }
              },
              "columnKind": "unicodeCodePoints",
              "results": [
                {
                  "ruleId": "LL0201",
                  "ruleIndex": 0,
                  "level": "error",
                  "message": {
                    "text": "unknown key `runs_on` in a job\ndid you mean `runs-on`?"
                  },
                  "locations": [
                    {
                      "physicalLocation": {
                        "artifactLocation": {
                          "uri": "a%20b/%C3%A9.yml"
                        },
                        "region": {
                          "startLine": 3,
                          "startColumn": 10,
                          "endLine": 3,
                          "endColumn": 17
                        }
                      }
                    }
                  ],
                  "relatedLocations": [
                    {
                      "physicalLocation": {
                        "artifactLocation": {
                          "uri": "a%20b/%C3%A9.yml"
                        },
                        "region": {
                          "startLine": 1,
                          "startColumn": 5,
                          "endLine": 1,
                          "endColumn": 9
                        }
                      },
                      "message": {
                        "text": "started by\u001b[31m this"
                      }
                    }
                  ],
                  "fixes": [
                    {
                      "description": {
                        "text": "replace with `runs-on`"
                      },
                      "artifactChanges": [
                        {
                          "artifactLocation": {
                            "uri": "a%20b/%C3%A9.yml"
                          },
                          "replacements": [
                            {
                              "deletedRegion": {
                                "startLine": 3,
                                "startColumn": 10,
                                "endLine": 3,
                                "endColumn": 17
                              },
                              "insertedContent": {
                                "text": "runs-on"
                              }
                            }
                          ]
                        }
                      ]
                    }
                  ]
                }
              ]
            }
          ]
        }"#]]
    .assert_eq(&document);
}

#[test]
fn every_rule_has_a_page_with_an_example() {
    for (index, rule) in RULES.iter().enumerate() {
        assert!(rule.page.starts_with(&format!("# {}: ", rule.code)), "{}", rule.code);
        assert!(rule.page.contains("```"), "{} shows no example", rule.code);
        assert!(RULES[..index].iter().all(|other| other.code != rule.code), "{}", rule.code);
        assert!(RULES[..index].iter().all(|other| other.name != rule.name), "{}", rule.name);
    }
}
