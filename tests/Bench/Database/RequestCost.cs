using AiAspire.Core.Encryption;
using Npgsql;

namespace AiAspire.Bench.Database;

/// <summary>Median microseconds of one way, over all rounds.</summary>
internal sealed record CostRow(bool RowSecurity, bool Encryption, double SettleMicroseconds, double ReadMicroseconds);

/// <summary>
/// The two database steps of a chat request that hold content, with and without row-level security and encryption, in turn: the batch that
/// settles (two messages of 1 kB, the conversation, the attempt) and the reading of a conversation of twenty. With row-level security
/// the first runs as the ledger role and the second as the app role, without as the superuser, over the same tables; commits do not wait for the disk, which would hide the difference.
/// </summary>
internal sealed class RequestCost(NpgsqlDataSource superuser, ContentCipher cipher, TimeProvider time)
{
    private const int Rounds = 5;
    private const int Calls = 400;
    private const int WarmUp = 100;
    private const int MessageBytes = 1_024;

    private static readonly (bool RowSecurity, bool Encryption)[] Ways = [(false, false), (true, false), (false, true), (true, true)];
    private const int Conversation = 70;

    private IReadOnlyList<Guid> _attempts = [];
    private int _nextAttempt;
    private Guid _user;
    private Guid _conversation;

    public async Task<IReadOnlyList<CostRow>> MeasureAsync(CancellationToken cancellationToken)
    {
        await using (var connection = await superuser.OpenConnectionAsync(cancellationToken))
        {
            _attempts = await TenantRows.OpenAttemptsAsync(connection, cancellationToken);
            _user = await TenantRows.IdAsync(connection, 1, TenantRows.LargeTenant, Conversation / 10, cancellationToken);
            _conversation = await TenantRows.IdAsync(connection, 2, TenantRows.LargeTenant, Conversation, cancellationToken);
        }

        var settle = Ways.ToDictionary(w => w, _ => new List<double>());
        var read = Ways.ToDictionary(w => w, _ => new List<double>());
        for (var round = 0; round <= Rounds; round++)
        {
            foreach (var way in Ways)
            {
                await using var connection = await superuser.OpenConnectionAsync(cancellationToken);
                await TenantRows.ExecuteAsync(connection, $"SET synchronous_commit = off; SET ROLE {(way.RowSecurity ? "aiaspire_ledger" : "none")}", cancellationToken);
                var settled = await TimesAsync(() => SettleAsync(connection, way.Encryption, cancellationToken), round == 0 ? WarmUp : Calls);
                await TenantRows.ExecuteAsync(connection, $"SET ROLE {(way.RowSecurity ? "aiaspire_app" : "none")}", cancellationToken);
                var readTimes = await TimesAsync(() => ReadAsync(connection, way.Encryption, cancellationToken), round == 0 ? WarmUp : Calls);
                await TenantRows.ExecuteAsync(connection, "RESET ROLE", cancellationToken);
                // The first round is there for the compilers.
                if (round > 0)
                {
                    settle[way].AddRange(settled);
                    read[way].AddRange(readTimes);
                }
            }
        }

        return [.. Ways.Select(w => new CostRow(w.RowSecurity, w.Encryption, Median(settle[w]), Median(read[w])))];
    }

    private async Task<List<double>> TimesAsync(Func<Task> call, int calls)
    {
        var times = new List<double>(calls);
        for (var i = 0; i < calls; i++)
        {
            var start = time.GetTimestamp();
            await call();
            times.Add(time.GetElapsedTime(start).TotalMicroseconds);
        }

        return times;
    }

    private async Task SettleAsync(NpgsqlConnection connection, bool encrypt, CancellationToken cancellationToken)
    {
        Guid[] ids = [Guid.CreateVersion7(time.GetUtcNow()), Guid.CreateVersion7(time.GetUtcNow())];
        var contents = ids.Select(id => encrypt ? cipher.Encrypt(new byte[MessageBytes], Place(id)) : new byte[MessageBytes]).ToArray();
        await using var batch = Scoped(connection);
        Add(batch,
            "INSERT INTO aiaspire.conversations (tenant_id, user_id, conversation_id, feature, created_at, last_message_at) VALUES ($1, $2, $3, 'chat', now(), now()) "
            + "ON CONFLICT (tenant_id, user_id, conversation_id) DO UPDATE SET last_message_at = excluded.last_message_at",
            TenantRows.LargeTenant, _user, _conversation);
        Add(batch,
            "INSERT INTO aiaspire.messages (tenant_id, user_id, conversation_id, request_id, created_at, message_id, role, content, model) "
            + "SELECT $1, $2, $3, $4, now(), id, 'user', content, NULL FROM unnest($5, $6) AS added(id, content) ON CONFLICT DO NOTHING",
            TenantRows.LargeTenant, _user, _conversation, ids[0], ids, contents);
        Add(batch,
            "UPDATE aiaspire.ledger_attempts SET outcome = 'Succeeded', output_tokens = 5 WHERE tenant_id = $1 AND attempt_id = $2 AND outcome = 'Open'",
            TenantRows.LargeTenant, _attempts[_nextAttempt++]);
        await batch.ExecuteNonQueryAsync(cancellationToken);
    }

    private async Task ReadAsync(NpgsqlConnection connection, bool encrypted, CancellationToken cancellationToken)
    {
        await using var batch = Scoped(connection);
        Add(batch, "SELECT message_id, content FROM aiaspire.messages WHERE tenant_id = $1 AND user_id = $2 AND conversation_id = $3 ORDER BY message_id DESC LIMIT 20", TenantRows.LargeTenant, _user, _conversation);
        await using var reader = await batch.ExecuteReaderAsync(cancellationToken);
        await reader.NextResultAsync(cancellationToken);
        while (await reader.ReadAsync(cancellationToken))
        {
            var (id, content) = (reader.GetGuid(0), reader.GetFieldValue<byte[]>(1));
            // Rows of the ways without encryption lie among them; as many bytes are opened as there would be.
            if (encrypted)
                _ = cipher.Decrypt(content.Length == MessageBytes ? _sealed : content, content.Length == MessageBytes ? Place(Guid.Empty) : Place(id));
        }
    }

    private readonly byte[] _sealed = cipher.Encrypt(new byte[MessageBytes], Place(Guid.Empty));

    private NpgsqlBatch Scoped(NpgsqlConnection connection)
    {
        var batch = new NpgsqlBatch(connection);
        Add(batch, "SELECT set_config('app.tenant_id', $1, true), set_config('app.user_id', $2, true), set_config('app.reach', 'user', true)", TenantRows.LargeTenant.ToString(), _user.ToString());
        return batch;
    }

    private static void Add(NpgsqlBatch batch, string sql, params object[] values)
    {
        var command = new NpgsqlBatchCommand(sql);
        foreach (var value in values)
            command.Parameters.Add(new NpgsqlParameter { Value = value });
        batch.BatchCommands.Add(command);
    }

    private static ContentPlace Place(Guid id) => new("messages", "content", id);

    private static double Median(List<double> values)
    {
        values.Sort();
        return values[values.Count / 2];
    }
}
