//! A folder for Ollama.

use std::fs;

use crate::workplace::Workplace;

#[test]
fn a_folder_for_ollama_has_the_model_and_its_template() {
    let place = Workplace::new();
    place.train(&[]).succeeds();
    let ran = place.rtune(&["export", "run", "out", "--format", "ollama", "--quantize", "q8_0"]);
    ran.succeeds();
    assert!(ran.stdout.contains("ollama create NAME -f out/Modelfile"), "{}", ran.stdout);
    let turn = |role: &str| format!("<|im_start|>{role}\n{{{{ .Content }}}}<|im_end|>\n");
    let expected = format!(
        "FROM ./model.gguf\nTEMPLATE \"\"\"{{{{ range .Messages }}}}{{{{ if eq .Role \"system\" }}}}{}{{{{ else if eq .Role \"user\" }}}}{}\
         {{{{ else if eq .Role \"assistant\" }}}}{}{{{{ end }}}}{{{{ end }}}}<|im_start|>assistant\n\"\"\"\nPARAMETER stop \"<|im_end|>\"\n",
        turn("system"),
        turn("user"),
        turn("assistant")
    );
    assert_eq!(place.read("out/Modelfile"), expected);
    // The model is the one that a file of its own has.
    place.rtune(&["export", "run", "model.gguf", "--format", "gguf", "--quantize", "q8_0"]).succeeds();
    let sizes =
        ["out/model.gguf", "model.gguf"].map(|file| fs::metadata(place.path(file)).expect("there").len());
    assert!(sizes[0].abs_diff(sizes[1]) < 64, "but for the name inside: {sizes:?}");
    place.rtune(&["export", "run", "base.gguf", "--format", "gguf", "--base-only"]).succeeds();
    place.rtune(&["generate", "base.gguf", "Where?", "--max-new-tokens", "2"]).succeeds();
}

#[test]
fn a_template_that_ollama_cannot_say_is_refused_before_anything_is_written() {
    let place = Workplace::new();
    // The system message stands inside the first question.
    place.write(
        "inside.jinja",
        "{% for m in messages %}{% if m['role'] == 'user' %}[{{ messages[0]['content'] if messages[0]['role'] == 'system' else '' }}\
         {{ m['content'] }}]{% elif m['role'] == 'assistant' %}{{ m['content'] }}<|im_end|>{% endif %}{% endfor %}",
    );
    place.train(&["data.template=inside.jinja"]).succeeds();
    let ran = place.rtune(&["export", "run", "out", "--format", "ollama"]);
    ran.fails(2, &["the chat template cannot be said as Ollama's", "hint: take --format gguf"]);
    assert!(!place.path("out").exists());
    let left: Vec<_> = fs::read_dir(place.path(""))
        .expect("a folder")
        .map(|entry| entry.expect("an entry").file_name())
        .collect();
    assert!(left.iter().all(|name| !name.to_string_lossy().contains("partial")), "{left:?}");
    place
        .rtune(&["export", "run", "out", "--quantize", "q8_0"])
        .fails(2, &["--quantize is for --format gguf"]);
}
