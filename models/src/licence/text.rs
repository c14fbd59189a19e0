//! Which licence a text is, by its first words.

/// How far from its beginning a licence says its name, in characters.
const HEAD_CHARACTERS: usize = 1200;

/// Words that stand together in the head of a licence, in small letters, and its id. The first that fits counts.
const HEADS: &[(&[&str], &str)] = &[
    (&["llama 4 community license"], "llama4"),
    (&["llama 3.3 community license"], "llama3.3"),
    (&["llama 3.2 community license"], "llama3.2"),
    (&["llama 3.1 community license"], "llama3.1"),
    (&["meta llama 3 community license"], "llama3"),
    (&["llama 2 community license"], "llama2"),
    (&["gemma terms of use"], "gemma"),
    (&["tongyi qianwen", "research"], "qwen-research"),
    (&["tongyi qianwen"], "tongyi-qianwen"),
    (&["qwen research license"], "qwen-research"),
    (&["qwen license"], "qwen"),
    (&["falcon 180b tii license"], "falcon-180b"),
    (&["tii falcon"], "falcon-llm-license"),
    (&["deepseek license agreement"], "deepseek"),
    (&["mistral ai research license"], "mrl"),
    (&["mistral ai non-production license"], "mnpl"),
    (&["bigscience", "rail"], "bigscience-bloom-rail-1.0"),
    (&["openrail-m"], "openrail++"),
    (&["apache license", "version 2.0"], "apache-2.0"),
    (&["gnu affero general public license", "version 3"], "agpl-3.0"),
    (&["gnu lesser general public license", "version 3"], "lgpl-3.0"),
    (&["gnu general public license", "version 3"], "gpl-3.0"),
    (&["attribution-noncommercial-sharealike 4.0"], "cc-by-nc-sa-4.0"),
    (&["attribution-noncommercial-noderivatives 4.0"], "cc-by-nc-nd-4.0"),
    (&["attribution-noncommercial 4.0"], "cc-by-nc-4.0"),
    (&["attribution-sharealike 4.0"], "cc-by-sa-4.0"),
    (&["creative commons attribution 4.0"], "cc-by-4.0"),
    (&["attribution 4.0 international"], "cc-by-4.0"),
    (&["cc0 1.0 universal"], "cc0-1.0"),
    (&["redistributions of source code", "neither the name"], "bsd-3-clause"),
    (&["redistribution and use in source and binary forms"], "bsd-3-clause"),
    (&["permission is hereby granted, free of charge", "to deal in the software without restriction"], "mit"),
    (&["mit license"], "mit"),
];

/// The id of a licence's text; `None` for one that is not known.
pub(super) fn recognised(text: &str) -> Option<&'static str> {
    let head: String = text.chars().take(HEAD_CHARACTERS).collect();
    let head = head.to_lowercase().split_whitespace().collect::<Vec<_>>().join(" ");
    HEADS.iter().find(|(words, _)| words.iter().all(|word| head.contains(word))).map(|(_, id)| *id)
}
