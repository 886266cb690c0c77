using System.Text;
using System.Text.Json;
using AiAspire.Core.Batches;
using AiAspire.Core.Encryption;
using AiAspire.Core.Files;
using AiAspire.Core.Jobs;
using Microsoft.Extensions.Time.Testing;

namespace AiAspire.Unit.CoreTests.Batches;

public sealed class BatchPlanTests
{
    private const string Endpoint = "/v1/chat/completions";
    private static readonly DateTimeOffset Now = new(2026, 11, 24, 12, 0, 0, TimeSpan.Zero);

    private static readonly Batch Batch = new()
    {
        TenantId = new Guid("00000000-0000-0000-0000-000000000001"),
        UserId = new Guid("00000000-0000-0000-0000-000000000002"),
        BatchId = new Guid("00000000-0000-0000-0000-000000000003"),
        InputFileId = new Guid("00000000-0000-0000-0000-000000000004"),
        Endpoint = Endpoint,
        CreatedAt = Now,
        ExpiresAt = Now.AddDays(1),
    };

    [Fact]
    public void Good_lines_are_shared_out_in_order_to_jobs_that_wait_behind_all_else_of_their_user()
    {
        var plan = Plan(3, [.. Enumerable.Range(0, 7).Select(i => Line($"r{i}"))]);

        var jobs = plan.Jobs();
        Assert.Equal([(1, 4), (4, 7), (7, 8)], Shares(jobs).Select(s => (s.FirstLine, s.EndLine)));
        Assert.Equal(Shares(jobs).Skip(1).Select(s => s.Start), Shares(jobs).SkipLast(1).Select(s => s.End));
        Assert.All(jobs, j => Assert.Equal((Batch.BatchId, JobSpec.MaxPriority, BatchLinesJob.JobKind), (j.PartOf!.Value, j.Priority, j.Kind)));
        Assert.Equal(7, plan.Total);
    }

    [Fact]
    public void A_bad_line_or_one_whose_name_was_there_before_takes_no_place_in_a_job_and_is_counted()
    {
        var plan = Plan(2, Line("a"), "no JSON", Line("a"), Line("b"), Line("c"));

        Assert.Equal([(1, 5), (5, 6)], Shares(plan.Jobs()).Select(s => (s.FirstLine, s.EndLine)));
        Assert.Equal(5, plan.Total);
    }

    [Fact]
    public void A_job_reads_little_of_the_file_however_long_its_lines_are()
    {
        var plan = Plan(100, [.. Enumerable.Range(0, 10).Select(i => Line($"r{i}", new string('x', 100_000)))]);

        Assert.All(Shares(plan.Jobs()), s => Assert.InRange(s.End - s.Start, 100_000, FileWriter.ChunkBytes));
        Assert.Equal(5, plan.Jobs().Count);
    }

    private static BatchPlan Plan(int linesPerJob, params string[] lines)
    {
        var plan = new BatchPlan(
            Batch, new BatchOptions { LinesPerJob = linesPerJob }, new FakeTimeProvider(Now), new ContentCipher(Batch.TenantId, 1, [new ContentKey(1, new byte[32])]));
        var start = 0;
        for (var i = 0; i < lines.Length; i++)
        {
            var bytes = Encoding.UTF8.GetBytes(lines[i]);
            plan.Add(new FileLine(i + 1, start, start + bytes.Length + 1, bytes, IsTooLong: false));
            start += bytes.Length + 1;
        }

        return plan;
    }

    private static List<BatchLines> Shares(IReadOnlyList<JobSpec> jobs) => [.. jobs.Select(j => JsonSerializer.Deserialize<BatchLines>(j.Payload.Span)!)];

    private static string Line(string id, string text = "x")
        => JsonSerializer.Serialize(new { custom_id = id, method = "POST", url = Endpoint, body = new { model = "m", messages = new[] { new { role = "user", content = text } } } });
}
