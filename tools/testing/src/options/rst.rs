// SPDX-License-Identifier: GPL-2.0
//! The table as reStructuredText.

use netlab::ktap::errno_name;

use super::Get;
use super::Row;
use super::Set;
use super::Stand;
use super::TABLE;

/// One list-table for each level.
pub fn rst() -> String {
    let mut out = String::from(
        ".. SPDX-License-Identifier: GPL-2.0\n\
         .. Written by ``rustnet-test option-table``; the guest tests compare it with the kernel.\n\n\
         ==============\nSocket options\n==============\n\n\
         *Done* means: the same answers as AF_INET, and the same effect. *Refused* options answer both\n\
         ``setsockopt`` and ``getsockopt`` with the errno given: none is taken and ignored.\n\n",
    );
    let levels = ["SOL_SOCKET", "IPPROTO_IP", "IPPROTO_TCP"];
    for level in levels {
        out += &format!("{level}\n{}\n\n", "=".repeat(level.len()));
        out += ".. list-table::\n   :header-rows: 1\n   :widths: 24 6 22 22 40\n\n";
        out += "   * - Option\n     - No.\n     - AF_INET\n     - AF_RUSTNET\n     - Remark\n";
        for row in TABLE.iter().filter(|r| r.level_name() == level) {
            out += &format!(
                "   * - ``{}``\n     - {}\n     - {}\n     - {}\n     - {}\n",
                row.name,
                row.number,
                answers(row.set, row.get),
                stand(row),
                row.remark
            );
        }
        out.push('\n');
    }
    out
}

fn stand(row: &Row) -> String {
    match row.rustnet {
        Stand::Done => "done".into(),
        Stand::Refused(e) => format!("refused: {}", errno_name(e)),
        Stand::Differs(set, get) => answers(set, get),
    }
}

fn answers(set: Set, get: Get) -> String {
    let set = match set {
        Set::Ok => "set".to_string(),
        Set::Err(e) => format!("set: {}", errno_name(e)),
        Set::Skip => String::new(),
    };
    let get = match get {
        Get::Is(_) | Get::Ok => "get".to_string(),
        Get::Err(e) => format!("get: {}", errno_name(e)),
    };
    [set, get]
        .into_iter()
        .filter(|s| !s.is_empty())
        .collect::<Vec<_>>()
        .join(", ")
}
