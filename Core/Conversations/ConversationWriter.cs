using System.Buffers;
using System.Runtime.InteropServices;
using System.Text.Json;
using AiAspire.Core.Data;
using AiAspire.Core.Encryption;
using AiAspire.Core.Wire;
using Npgsql;

namespace AiAspire.Core.Conversations;

/// <summary>What a call adds to its conversation, encrypted and ready to be written.</summary>
public sealed class NewMessages
{
    private readonly ChatCall _call;
    private readonly Guid _conversationId;
    private readonly DateTime _at;
    private readonly Guid[] _ids;
    private readonly string[] _roles;
    private readonly byte[][] _contents;
    private readonly string?[] _models;

    /// <summary>
    /// The caller sends the whole history each time, as OpenAI's wire has it: only what came after the last answer is new. The answer
    /// is stored with the model version that gave it, also when it was cut short.
    /// </summary>
    public NewMessages(ChatCall call, JsonElement messages, ContentCipher cipher, TimeProvider time)
    {
        _call = call;
        _at = time.GetUtcNow().UtcDateTime;
        _conversationId = call.ConversationId!.Value;
        var first = FirstNewMessage(messages);
        var asked = messages.GetArrayLength() - first;
        var count = asked + (call.Reply.HasContent ? 1 : 0);
        (_ids, _roles, _contents, _models) = (new Guid[count], new string[count], new byte[count][], new string?[count]);
        for (var i = 0; i < count; i++)
            _ids[i] = time.NewId();
        // Ids of one millisecond have no order of their own; sorted, they keep the order of the messages.
        Array.Sort(_ids);
        var position = -first;
        foreach (var message in messages.EnumerateArray())
        {
            if (position >= 0)
                Set(position, message.GetProperty("role"u8).GetString()!, JsonMarshal.GetRawUtf8Value(message));
            position++;
        }

        if (call.Reply.HasContent)
        {
            Set(asked, "assistant", AnswerJson(call.Reply.Text));
            _models[asked] = call.Reply.Model;
        }

        void Set(int i, string role, ReadOnlySpan<byte> json)
            => (_roles[i], _contents[i]) = (role, cipher.Encrypt(json, new ContentPlace("messages", "content", _ids[i])));
    }

    /// <summary>Writes the conversations of all of them, and sets when they were last used.</summary>
    public static NpgsqlBatchCommand TouchConversations(IReadOnlyList<NewMessages> added)
    {
        // PostgreSQL refuses to touch one row twice in one statement.
        var last = new Dictionary<(Guid, Guid, Guid), NewMessages>(added.Count);
        foreach (var messages in added)
        {
            var call = messages._call;
            last[(call.Caller.TenantId, call.Caller.UserId, messages._conversationId)] = messages;
        }

        // In one order everywhere, so that two writers cannot wait for each other.
        var rows = last.OrderBy(static e => e.Key).Select(static e => e.Value).ToList();
        return new NpgsqlBatchCommand(
            """
            INSERT INTO aiaspire.conversations (tenant_id, user_id, conversation_id, feature, created_at, last_message_at)
            SELECT t, u, c, f, at, at FROM unnest($1, $2, $3, $4, $5) AS touched(t, u, c, f, at)
            ON CONFLICT (tenant_id, user_id, conversation_id) DO UPDATE SET last_message_at = excluded.last_message_at
            """)
        {
            Parameters =
            {
                Parameter.Column(rows, static m => m._call.Caller.TenantId),
                Parameter.Column(rows, static m => m._call.Caller.UserId),
                Parameter.Column(rows, static m => m._conversationId),
                Parameter.Column(rows, static m => m._call.Feature),
                Parameter.Column(rows, static m => m._at),
            },
        };
    }

    /// <summary>Writes the messages of all of them.</summary>
    public static NpgsqlBatchCommand Insert(IReadOnlyList<NewMessages> added)
    {
        var rows = new List<(NewMessages Of, int Index)>(added.Count * 3);
        foreach (var messages in added)
        {
            for (var i = 0; i < messages._ids.Length; i++)
                rows.Add((messages, i));
        }

        return new NpgsqlBatchCommand(
            """
            INSERT INTO aiaspire.messages (tenant_id, user_id, conversation_id, request_id, created_at, message_id, role, content, model)
            SELECT * FROM unnest($1, $2, $3, $4, $5, $6, $7, $8, $9)
            ON CONFLICT DO NOTHING
            """)
        {
            Parameters =
            {
                Parameter.Column(rows, static r => r.Of._call.Caller.TenantId),
                Parameter.Column(rows, static r => r.Of._call.Caller.UserId),
                Parameter.Column(rows, static r => r.Of._conversationId),
                Parameter.Column(rows, static r => r.Of._call.RequestId),
                Parameter.Column(rows, static r => r.Of._at),
                Parameter.Column(rows, static r => r.Of._ids[r.Index]),
                Parameter.Column(rows, static r => r.Of._roles[r.Index]),
                Parameter.Column(rows, static r => r.Of._contents[r.Index]),
                Parameter.Column(rows, static r => r.Of._models[r.Index]),
            },
        };
    }

    private static int FirstNewMessage(JsonElement messages)
    {
        var (first, i) = (0, 0);
        foreach (var message in messages.EnumerateArray())
        {
            i++;
            if (message.GetProperty("role"u8).ValueEquals("assistant"u8))
                first = i;
        }

        return first;
    }

    private static ReadOnlySpan<byte> AnswerJson(ReadOnlySpan<byte> text)
    {
        var buffer = new ArrayBufferWriter<byte>(text.Length + 64);
        using (var writer = new Utf8JsonWriter(buffer))
        {
            writer.WriteStartObject();
            writer.WriteString("role"u8, "assistant"u8);
            writer.WriteString("content"u8, text);
            writer.WriteEndObject();
        }

        return buffer.WrittenSpan;
    }
}
