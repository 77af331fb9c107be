//! Registration: what the module needs of the server, its options, and the commands with their documentation.

use std::ffi::{CStr, CString, c_char, c_int};
use std::ptr::{null, null_mut};

use redis_module::raw;

use super::api::api;
use super::ctx::Ctx;

/// A command of C.
pub type Function = unsafe extern "C" fn(*mut raw::RedisModuleCtx, *mut *mut raw::RedisModuleString, c_int) -> c_int;

/// What kind of argument, as COMMAND DOCS says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Key,
    Text,
    Integer,
    Pattern,
    /// A word alone.
    Word,
    /// One of its parts.
    OneOf,
    /// All of its parts.
    Block,
}

/// An argument.
#[derive(Clone, Copy, Debug)]
pub struct Arg {
    pub name: &'static str,
    pub kind: Kind,
    /// The keyword before it.
    pub token: Option<&'static str>,
    pub optional: bool,
    /// Whether it can come again and again.
    pub multiple: bool,
    /// Whether its keyword comes again each time.
    pub token_again: bool,
    pub parts: &'static [Arg],
}

impl Arg {
    const fn of(name: &'static str, kind: Kind) -> Arg {
        Arg { name, kind, token: None, optional: false, multiple: false, token_again: false, parts: &[] }
    }

    /// The store's key.
    pub const fn key() -> Arg {
        Arg::of("key", Kind::Key)
    }

    pub const fn text(name: &'static str) -> Arg {
        Arg::of(name, Kind::Text)
    }

    pub const fn integer(name: &'static str) -> Arg {
        Arg::of(name, Kind::Integer)
    }

    /// An optional word alone.
    pub const fn word(name: &'static str, token: &'static str) -> Arg {
        Arg::of(name, Kind::Word).after(token)
    }

    /// Arguments that come together.
    pub const fn block(name: &'static str, parts: &'static [Arg]) -> Arg {
        Arg { parts, ..Arg::of(name, Kind::Block) }
    }

    /// One of several.
    pub const fn one_of(name: &'static str, parts: &'static [Arg]) -> Arg {
        Arg { parts, ..Arg::of(name, Kind::OneOf) }
    }

    /// `ITEMS sku qty [sku qty …]`.
    pub const fn items() -> Arg {
        const PAIR: &[Arg] = &[Arg::text("sku"), Arg::integer("qty")];
        Arg::block("items", PAIR).with("ITEMS").many()
    }

    /// Behind a keyword.
    pub const fn with(self, token: &'static str) -> Arg {
        Arg { token: Some(token), ..self }
    }

    /// Optional, behind a keyword.
    pub const fn after(self, token: &'static str) -> Arg {
        self.with(token).opt()
    }

    /// Not optional: of a word.
    pub const fn required(self) -> Arg {
        Arg { optional: false, ..self }
    }

    pub const fn opt(self) -> Arg {
        Arg { optional: true, ..self }
    }

    /// Can come again and again.
    pub const fn many(self) -> Arg {
        Arg { multiple: true, ..self }
    }

    /// Can come again and again, each time behind its keyword.
    pub const fn again(self) -> Arg {
        Arg { token_again: true, ..self.many() }
    }

    /// The fewest words the argument can be.
    fn least(&self) -> i32 {
        let token = i32::from(self.token.is_some());
        match (self.optional, self.kind) {
            (true, _) => 0,
            (_, Kind::Word) => token,
            (_, Kind::Block) => token + self.parts.iter().map(Arg::least).sum::<i32>(),
            (_, Kind::OneOf) => self.parts.iter().map(Arg::least).min().unwrap_or(0),
            _ => token + 1,
        }
    }

    /// Whether the argument is always the same number of words.
    fn is_fixed(&self) -> bool {
        !self.optional && !self.multiple && self.parts.iter().all(Arg::is_fixed)
    }
}

/// What the server knows of a command.
#[derive(Clone, Copy, Debug)]
pub struct About {
    /// The name, in capitals, as it is replicated.
    pub name: &'static CStr,
    pub summary: &'static str,
    /// What it replies, in Markdown: only the reference, which a test writes, reads it.
    #[cfg_attr(not(test), allow(dead_code))]
    pub reply: &'static str,
    pub complexity: &'static str,
    pub since: &'static str,
    /// As RM_CreateCommand takes them: `write deny-oom fast`.
    pub flags: &'static str,
    /// What is done to the store's key.
    pub access: Access,
    pub args: &'static [Arg],
}

impl About {
    /// The name as text.
    pub fn title(&self) -> &'static str {
        self.name.to_str().unwrap_or_default()
    }

    /// Whether the command is the module's own, and not for clients.
    pub fn is_internal(&self) -> bool {
        self.title().starts_with("HOLDFAST.")
    }

    /// ACL categories next to `@holdfast`, for servers that take them.
    pub fn acl(&self) -> String {
        if self.is_internal() {
            return "admin dangerous".into();
        }
        let has = |flag: &str| self.flags.split(' ').any(|word| word == flag);
        let kind = if self.access == Access::Read { "read" } else { "write" };
        let speed = if has("fast") { "fast" } else { "slow" };
        format!("{kind} {speed}{}", if has("blocking") { " blocking" } else { "" })
    }

    /// The number of words with the command's name; negative: at least that many.
    pub fn arity(&self) -> i32 {
        let least = 1 + self.args.iter().map(Arg::least).sum::<i32>();
        if self.args.iter().all(Arg::is_fixed) { least } else { -least }
    }

    /// Where the last key is among the words, as RM_CreateCommand counts: -1 is the last word.
    fn last_key(&self) -> c_int {
        let many = self.args.iter().any(|arg| arg.kind == Kind::Key && arg.multiple);
        if many { -1 } else { 1 }
    }
}

/// What a command does to the store's key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    Read,
    Update,
    /// Makes it where it is missing.
    Insert,
    Delete,
}

impl Access {
    fn flags(self) -> u32 {
        match self {
            Access::Read => raw::REDISMODULE_CMD_KEY_RO | raw::REDISMODULE_CMD_KEY_ACCESS,
            Access::Update => {
                raw::REDISMODULE_CMD_KEY_RW | raw::REDISMODULE_CMD_KEY_ACCESS | raw::REDISMODULE_CMD_KEY_UPDATE
            }
            Access::Insert => {
                // The server takes only one of UPDATE and INSERT; with UPDATE it is what HSET says of itself.
                raw::REDISMODULE_CMD_KEY_RW | raw::REDISMODULE_CMD_KEY_UPDATE
            }
            Access::Delete => raw::REDISMODULE_CMD_KEY_RM | raw::REDISMODULE_CMD_KEY_DELETE,
        }
    }
}

/// The ACL category of all commands, where the server takes new ones (Redis 7.4, Valkey 8).
const CATEGORY: &CStr = c"holdfast";

/// Whether the server has all that the module calls. Redis 7.0 has.
pub fn check_api(ctx: Ctx<'_>) -> bool {
    macro_rules! all {
        ($($name:ident),* $(,)?) => {
            // SAFETY: reads pointers that the server set before it called us.
            [$((stringify!($name), unsafe { (*&raw const raw::$name).is_some() })),*]
        };
    }
    let names = all![
        RedisModule_StreamAdd,
        RedisModule_StreamDelete,
        RedisModule_StreamTrimByLength,
        RedisModule_StreamIteratorStart,
        RedisModule_SetCommandInfo,
        RedisModule_ReplyWithMap,
        RedisModule_RegisterNumericConfig,
        RedisModule_LoadConfigs,
        RedisModule_UnlinkKey,
        RedisModule_MallocUsableSize,
        RedisModule_GetToDbIdFromOptCtx,
        RedisModule_GetToKeyNameFromOptCtx,
        RedisModule_AvoidReplicaTraffic,
        RedisModule_GetDbIdFromIO,
        RedisModule_SignalModifiedKey,
        RedisModule_BlockClient,
        RedisModule_UnblockClient,
        RedisModule_SetDisconnectCallback,
        RedisModule_GetBlockedClientHandle,
        RedisModule_GetServerInfo,
        RedisModule_ServerInfoGetFieldC,
        RedisModule_FreeServerInfo,
        RedisModule_EventLoopAdd,
        RedisModule_GetDetachedThreadSafeContext,
    ];
    let missing: Vec<_> = names.iter().filter(|(_, there)| !there).map(|(name, _)| *name).collect();
    if !missing.is_empty() {
        ctx.warn(&format!("Holdfast needs Redis 7.0 or later: this server has no {}", missing.join(", ")));
    }
    missing.is_empty()
}

/// The module handles errors of loading itself, signals modified keys itself (a refused command changes nothing), and
/// copes with keys that are here before their slot is (`of_migration`).
pub fn set_options(ctx: Ctx<'_>, of_migration: u32) {
    let options =
        raw::REDISMODULE_OPTIONS_HANDLE_IO_ERRORS | raw::REDISMODULE_OPTION_NO_IMPLICIT_SIGNAL_MODIFIED | of_migration;
    // SAFETY: called while the module loads.
    unsafe { api!(RedisModule_SetModuleOptions(ctx.raw(), options as c_int)) }
}

/// Makes the ACL category, where the server can.
pub fn category(ctx: Ctx<'_>) {
    // SAFETY: called while the module loads. A category that is there already is as good.
    unsafe {
        if let Some(add) = raw::RedisModule_AddACLCategory {
            add(ctx.raw(), CATEGORY.as_ptr());
        }
    }
}

/// Registers a command and its documentation.
pub fn command(ctx: Ctx<'_>, about: &About, function: Function) -> bool {
    let text = |text: &str| CString::new(text).unwrap_or_default();
    let (name, flags, last_key) = (about.name, text(about.flags), about.last_key());
    // SAFETY: called while the module loads; the server copies the strings.
    let made = unsafe {
        api!(RedisModule_CreateCommand(ctx.raw(), name.as_ptr(), Some(function), flags.as_ptr(), 1, last_key, 1))
    };
    if made != raw::REDISMODULE_OK as c_int {
        ctx.warn(&format!("the command {} is taken by another module", about.title()));
        return false;
    }
    // SAFETY: the command was just made.
    let command = unsafe { api!(RedisModule_GetCommand(ctx.raw(), name.as_ptr())) };
    if command.is_null() || !describe(command, about) {
        ctx.warn(&format!("the server does not take the description of {}", about.title()));
        return false;
    }
    categorize(command, about);
    true
}

fn categorize(command: *mut raw::RedisModuleCommand, about: &About) {
    // SAFETY: the command is live; the server copies the text.
    unsafe {
        let Some(set) = raw::RedisModule_SetCommandACLCategories else { return };
        let add = raw::RedisModule_AddACLCategory;
        let own = if add.is_some() { " holdfast" } else { "" };
        let categories = CString::new(format!("{}{own}", about.acl())).unwrap_or_default();
        set(command, categories.as_ptr());
    }
}

/// The server's C structures for a description; they live until the server has copied them.
struct Description {
    texts: Vec<CString>,
    lists: Vec<Vec<raw::RedisModuleCommandArg>>,
}

impl Description {
    fn text(&mut self, text: &str) -> *const c_char {
        // The CString's bytes stay where they are when the vector grows.
        self.texts.push(CString::new(text).unwrap_or_default());
        self.texts.last().map_or(null(), |text| text.as_ptr())
    }

    /// The arguments as the server wants them: a list that ends with an empty one.
    fn args(&mut self, args: &[Arg]) -> *mut raw::RedisModuleCommandArg {
        if args.is_empty() {
            return null_mut();
        }
        let mut list: Vec<_> = args.iter().map(|arg| self.arg(arg)).collect();
        // SAFETY: all zero is the structure's "none".
        list.push(unsafe { std::mem::zeroed() });
        self.lists.push(list);
        self.lists.last_mut().map_or(null_mut(), |list| list.as_mut_ptr())
    }

    fn arg(&mut self, arg: &Arg) -> raw::RedisModuleCommandArg {
        let optional = if arg.optional { raw::REDISMODULE_CMD_ARG_OPTIONAL } else { 0 };
        let multiple = if arg.multiple { raw::REDISMODULE_CMD_ARG_MULTIPLE } else { 0 };
        let token = if arg.token_again { raw::REDISMODULE_CMD_ARG_MULTIPLE_TOKEN } else { 0 };
        raw::RedisModuleCommandArg {
            name: self.text(arg.name),
            type_: arg.kind.number(),
            key_spec_index: if arg.kind == Kind::Key { 0 } else { -1 },
            token: arg.token.map_or(null(), |token| self.text(token)),
            summary: null(),
            since: null(),
            flags: (optional | multiple | token) as c_int,
            deprecated_since: null(),
            subargs: self.args(arg.parts),
            display_text: null(),
        }
    }
}

impl Kind {
    fn number(self) -> raw::RedisModuleCommandArgType {
        match self {
            Kind::Key => raw::RedisModuleCommandArgType_REDISMODULE_ARG_TYPE_KEY,
            Kind::Text => raw::RedisModuleCommandArgType_REDISMODULE_ARG_TYPE_STRING,
            Kind::Integer => raw::RedisModuleCommandArgType_REDISMODULE_ARG_TYPE_INTEGER,
            Kind::Pattern => raw::RedisModuleCommandArgType_REDISMODULE_ARG_TYPE_PATTERN,
            Kind::Word => raw::RedisModuleCommandArgType_REDISMODULE_ARG_TYPE_PURE_TOKEN,
            Kind::OneOf => raw::RedisModuleCommandArgType_REDISMODULE_ARG_TYPE_ONEOF,
            Kind::Block => raw::RedisModuleCommandArgType_REDISMODULE_ARG_TYPE_BLOCK,
        }
    }
}

fn describe(command: *mut raw::RedisModuleCommand, about: &About) -> bool {
    let version = raw::RedisModuleCommandInfoVersion {
        version: 1,
        sizeof_historyentry: size_of::<raw::RedisModuleCommandHistoryEntry>(),
        sizeof_keyspec: size_of::<raw::RedisModuleCommandKeySpec>(),
        sizeof_arg: size_of::<raw::RedisModuleCommandArg>(),
    };
    let mut description = Description { texts: Vec::new(), lists: Vec::new() };
    // SAFETY: all zero is the structure's "none"; the end of the list.
    let mut key_specs: [raw::RedisModuleCommandKeySpec; 2] = unsafe { std::mem::zeroed() };
    key_specs[0].flags = u64::from(about.access.flags());
    key_specs[0].begin_search_type = raw::RedisModuleKeySpecBeginSearchType_REDISMODULE_KSPEC_BS_INDEX;
    key_specs[0].bs.index.pos = 1;
    key_specs[0].find_keys_type = raw::RedisModuleKeySpecFindKeysType_REDISMODULE_KSPEC_FK_RANGE;
    // Counted from the first one.
    let lastkey = if about.last_key() == 1 { 0 } else { -1 };
    key_specs[0].fk.range =
        raw::RedisModuleCommandKeySpec__bindgen_ty_2__bindgen_ty_1 { lastkey, keystep: 1, limit: 0 };
    let info = raw::RedisModuleCommandInfo {
        version: &version,
        summary: description.text(about.summary),
        complexity: description.text(about.complexity),
        since: description.text(about.since),
        history: null_mut(),
        tips: null(),
        arity: about.arity(),
        key_specs: key_specs.as_mut_ptr(),
        args: description.args(about.args),
    };
    // SAFETY: everything the structure points to lives until the call returns; the server copies it.
    unsafe { api!(RedisModule_SetCommandInfo(command, &info)) == raw::REDISMODULE_OK as c_int }
}
