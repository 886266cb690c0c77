using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using System.Threading.Channels;
using AiAspire.Core.Data;
using AiAspire.Core.Encryption;
using AiAspire.Core.Jobs;
using Microsoft.Extensions.Logging.Abstractions;
using Npgsql;

namespace AiAspire.Unit.CoreTests.Jobs;

public sealed class JobEventLogTests
{
    private static readonly TimeSpan Interval = TimeSpan.FromMilliseconds(5);
    private static readonly ClaimedJob Job = new()
    {
        TenantId = SampleCalls.Id(),
        UserId = SampleCalls.Id(),
        JobId = SampleCalls.Id(),
        LeaseToken = SampleCalls.Id(),
        Kind = "chat.completion",
        Payload = [],
        Tries = 1,
    };

    private static readonly ContentCipher Cipher = new(Job.TenantId, 1, [new ContentKey(1, RandomNumberGenerator.GetBytes(SealedBox.KeyBytes))]);

    private static CancellationToken Cancelled => TestContext.Current.CancellationToken;

    [Fact]
    [Trait("Checklist", "ARCH-01")]
    public async Task What_the_database_did_not_take_is_tried_again_under_its_number_and_in_its_order()
    {
        var tried = Channel.CreateUnbounded<TenantBatch>();
        var more = new TaskCompletionSource();
        var tries = 0;
        await using var log = Log(async batch =>
        {
            tried.Writer.TryWrite(batch);
            if (++tries == 1)
            {
                // More comes while the first row is on its way to nowhere.
                await more.Task;
                throw new NpgsqlException("the connection broke");
            }

            if (tries == 2)
                throw new TimeoutException();
        });
        log.Add("\"one\""u8.ToArray());
        var first = Row(await NextAsync(tried));
        log.Add("\"two\""u8.ToArray());
        log.Add("\"three\""u8.ToArray());
        more.SetResult();

        // Failed, failed, written; and then what came meanwhile.
        Assert.Equal(first, Row(await NextAsync(tried)));
        Assert.Equal(first, Row(await NextAsync(tried)));
        var next = Row(await NextAsync(tried));
        Assert.Equal("one", first.Chunks);
        Assert.Equal("two three", next.Chunks);
        Assert.True(next.Sequence > first.Sequence);
        await log.CloseAsync();
        Assert.Empty(Rest(log));
    }

    [Fact]
    public async Task When_nothing_can_be_written_nothing_is_thrown_and_all_goes_with_the_end_of_the_job()
    {
        var asked = Channel.CreateUnbounded<bool>();
        await using var log = new JobEventLog(
            Job,
            () =>
            {
                asked.Writer.TryWrite(true);
                throw new MasterKeyUnavailableException("Vault is sealed.");
            },
            _ => Task.CompletedTask,
            Interval,
            TimeProvider.System,
            NullLogger<JobEventLog>.Instance);
        log.Add("\"one\""u8.ToArray());
        await asked.Reader.ReadAsync(Cancelled).AsTask().WaitAsync(TimeSpan.FromSeconds(30), Cancelled);

        // The settlement of a paid answer comes after this.
        await log.CloseAsync();
        log.Add("\"two\""u8.ToArray());

        var rest = Rest(log);
        Assert.Equal("one two", string.Join(' ', rest.Select(r => r.Chunks)));
        Assert.Equal(rest.Count, rest.Select(r => r.Sequence).Distinct().Count());
        // That transaction is repeated when it fails.
        Assert.Equal(rest, Rest(log));
    }

    [Fact]
    public async Task What_waits_for_the_database_is_bounded()
    {
        await using var log = Log(_ => throw new NpgsqlException("away"));
        var piece = Encoding.UTF8.GetBytes($"\"{new string('x', 1022)}\"");
        for (var i = 0; i < 20_000; i++)
            log.Add(piece);
        await log.CloseAsync();

        var bytes = Rest(log).Sum(r => (long)r.Chunks.Length);
        Assert.InRange(bytes, 1024 * 1024, 9 * 1024 * 1024);
    }

    private static JobEventLog Log(Func<TenantBatch, Task> write)
        => new(Job, () => ValueTask.FromResult(Cipher), write, Interval, TimeProvider.System, NullLogger<JobEventLog>.Instance);

    private static Task<TenantBatch> NextAsync(Channel<TenantBatch> tried) => tried.Reader.ReadAsync(Cancelled).AsTask().WaitAsync(TimeSpan.FromSeconds(30), Cancelled);

    private static List<(long Sequence, string Chunks)> Rest(JobEventLog log)
    {
        var batch = new TenantBatch();
        log.AddRest(batch, Cipher);
        return Rows(batch);
    }

    private static (long Sequence, string Chunks) Row(TenantBatch batch) => Assert.Single(Rows(batch));

    private static List<(long Sequence, string Chunks)> Rows(TenantBatch batch)
        => [.. batch.Statements.Where(s => s.CommandText.Contains("INSERT INTO aiaspire.job_events", StringComparison.Ordinal)).Select(Read)];

    private static (long Sequence, string Chunks) Read(NpgsqlBatchCommand insert)
    {
        var sequence = (long)insert.Parameters[3].Value!;
        var data = JsonElement.Parse(Cipher.Decrypt((byte[])insert.Parameters[4].Value!, ClaimedJob.EventPlace(Job.JobId, sequence)));
        return (sequence, string.Join(' ', data.GetProperty("chunks").EnumerateArray().Select(c => c.GetString())));
    }
}
