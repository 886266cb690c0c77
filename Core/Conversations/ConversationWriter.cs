using System.Buffers;
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

    private const string MessageSql =
        """
        INSERT INTO aiaspire.messages (tenant_id, user_id, conversation_id, message_id, request_id, role, content, model, created_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
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
        var messages = NewMessages(call.Request.Messages).ToList();
        // Ids of one millisecond have no order of their own; sorted, they keep the order of the messages.
        var ids = new Queue<Guid>(Enumerable.Range(0, messages.Count + 1).Select(_ => time.NewId()).Order());
        foreach (var message in messages)
            Add(message.GetProperty("role").GetString()!, System.Runtime.InteropServices.JsonMarshal.GetRawUtf8Value(message), model: null);
        if (call.Reply.HasContent)
            Add("assistant", AnswerJson(call.Reply.Text), call.Reply.Model);

        void Add(string role, ReadOnlySpan<byte> json, string? model)
        {
            var messageId = ids.Dequeue();
            batch.Add(
                MessageSql,
                Parameter.Of(caller.TenantId),
                Parameter.Of(caller.UserId),
                Parameter.Of(call.ConversationId),
                Parameter.Of(messageId),
                Parameter.Of(call.RequestId),
                Parameter.Of(role),
                Parameter.Of(cipher.Encrypt(json, new ContentPlace("messages", "content", messageId))),
                Parameter.Of(model),
                Parameter.Of(now.UtcDateTime));
        }
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
