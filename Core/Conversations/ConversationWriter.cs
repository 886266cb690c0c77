using System.Buffers;
using System.Runtime.InteropServices;
using System.Text.Json;
using AiAspire.Core.Data;
using AiAspire.Core.Encryption;
using AiAspire.Core.Wire;
using Npgsql;

namespace AiAspire.Core.Conversations;

/// <summary>Adds a call's messages to its conversation, in the transaction that settles the call.</summary>
public static class ConversationWriter
{
    private const string TouchSql =
        """
        INSERT INTO aiaspire.conversations (tenant_id, user_id, conversation_id, feature, created_at, last_message_at)
        VALUES ($1, $2, $3, $4, $5, $5)
        ON CONFLICT (tenant_id, user_id, conversation_id) DO UPDATE SET last_message_at = excluded.last_message_at
        """;

    // All messages in one statement: row-level security plans and checks each statement anew.
    private const string MessagesSql =
        """
        INSERT INTO aiaspire.messages (tenant_id, user_id, conversation_id, request_id, created_at, message_id, role, content, model)
        SELECT $1, $2, $3, $4, $5, id, role, content, model FROM unnest($6, $7, $8, $9) AS added(id, role, content, model)
        ON CONFLICT DO NOTHING
        """;

    /// <summary>
    /// The caller sends the whole history each time, as OpenAI's wire has it: only what came after the last answer is new. The answer
    /// is stored with the model version that gave it, also when it was cut short.
    /// </summary>
    public static void AddMessages(this TenantBatch batch, ChatCall call, ContentCipher cipher, TimeProvider time)
    {
        var caller = call.Caller;
        var now = time.GetUtcNow();
        batch.Add(TouchSql, Parameter.Of(caller.TenantId), Parameter.Of(caller.UserId), Parameter.Of(call.ConversationId), Parameter.Of(call.Feature), Parameter.Of(now.UtcDateTime));
        var asked = NewMessages(call.Request.Messages).ToList();
        var count = asked.Count + (call.Reply.HasContent ? 1 : 0);
        // Ids of one millisecond have no order of their own; sorted, they keep the order of the messages.
        Guid[] ids = [.. Enumerable.Range(0, count).Select(_ => time.NewId()).Order()];
        var (roles, contents, models) = (new string[count], new byte[count][], new string?[count]);
        for (var i = 0; i < asked.Count; i++)
        {
            roles[i] = asked[i].GetProperty("role").GetString()!;
            contents[i] = Encrypt(JsonMarshal.GetRawUtf8Value(asked[i]), ids[i]);
        }

        if (call.Reply.HasContent)
            (roles[^1], contents[^1], models[^1]) = ("assistant", Encrypt(AnswerJson(call.Reply.Text), ids[^1]), call.Reply.Model);
        batch.Add(
            MessagesSql,
            Parameter.Of(caller.TenantId),
            Parameter.Of(caller.UserId),
            Parameter.Of(call.ConversationId),
            Parameter.Of(call.RequestId),
            Parameter.Of(now.UtcDateTime),
            Parameter.Of(ids),
            Parameter.Of(roles),
            Parameter.Of(contents),
            Parameter.Of(models));

        byte[] Encrypt(ReadOnlySpan<byte> json, Guid messageId) => cipher.Encrypt(json, new ContentPlace("messages", "content", messageId));
    }

    private static IEnumerable<JsonElement> NewMessages(JsonElement messages)
    {
        var lastAnswer = -1;
        var i = 0;
        foreach (var message in messages.EnumerateArray())
        {
            if (message.GetProperty("role").ValueEquals("assistant"u8))
                lastAnswer = i;
            i++;
        }

        return messages.EnumerateArray().Skip(lastAnswer + 1);
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
