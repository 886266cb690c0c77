using AiAspire.Core.Data;
using AiAspire.Core.Encryption;
using Microsoft.EntityFrameworkCore;
using Microsoft.EntityFrameworkCore.Metadata.Builders;
using Npgsql;

namespace AiAspire.Core.Jobs;

/// <summary>
/// A piece of a larger work that is done: what one of its calls brought. Written in the settling transaction of that call, so that a
/// worker that dies in the middle of the work has neither to be paid nor to be done again for what it finished.
/// </summary>
public sealed class JobPart : IUserOwned
{
    public required Guid TenantId { get; init; }

    public required Guid UserId { get; init; }

    /// <summary>The job, or what its jobs are a part of (<see cref="Job.PartOf"/>).</summary>
    public required Guid WorkId { get; init; }

    /// <summary>Its place in the work.</summary>
    public required int Part { get; init; }

    /// <summary>Of the call that brought it: tells a repeated settlement from another call's.</summary>
    public required Guid RequestId { get; init; }

    public required bool Succeeded { get; init; }

    /// <summary>US dollars charged.</summary>
    public required decimal Cost { get; init; }

    /// <summary>Encrypted with the user's key.</summary>
    public required byte[] Data { get; init; }

    public required DateTimeOffset CreatedAt { get; init; }
}

/// <summary>The statements about parts. A part is written once; a second call for it is undone with its charge.</summary>
public static class JobParts
{
    private const string KeepSql = "SELECT aiaspire.keep_part($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)";

    private const string DeleteSql = "DELETE FROM aiaspire.job_parts WHERE tenant_id = $1 AND user_id = $2 AND work_id = $3";

    private const string ReadSql =
        "SELECT part, succeeded, cost, data FROM aiaspire.job_parts WHERE tenant_id = $1 AND user_id = $2 AND work_id = $3 AND part > $4 ORDER BY part LIMIT $5";

    private const string DoneSql =
        "SELECT part FROM aiaspire.job_parts WHERE tenant_id = $1 AND user_id = $2 AND work_id = $3 AND part >= $4 AND part < $5";

    public static ContentPlace PlaceOf(Guid workId, int part) => new("job_parts", $"data.{part}", workId);

    /// <summary>Whether an exception of a settling transaction says that another call has brought the part (raised by <c>keep_part</c>).</summary>
    public static bool IsThereAlready(PostgresException exception) => exception.SqlState == "AI003";

    /// <summary>Adds a part to the transaction that settles its call. It throws there when the lease is lost or the part is there, and undoes the whole.</summary>
    public static void AddKeep(
        TenantBatch batch, ClaimedJob job, Guid workId, int part, Guid requestId, bool succeeded, decimal cost, ReadOnlySpan<byte> data, ContentCipher cipher) => batch.Add(
        KeepSql,
        Parameter.Of(job.TenantId),
        Parameter.Of(job.UserId),
        Parameter.Of(job.JobId),
        Parameter.Of(job.LeaseToken),
        Parameter.Of(workId),
        Parameter.Of(part),
        Parameter.Of(requestId),
        Parameter.Of(succeeded),
        Parameter.Of(cost),
        Parameter.Of(cipher.Encrypt(data, PlaceOf(workId, part))));

    public static void AddDelete(TenantBatch batch, ClaimedJob job, Guid workId)
        => batch.Add(DeleteSql, Parameter.Of(job.TenantId), Parameter.Of(job.UserId), Parameter.Of(workId));

    /// <summary>Which parts are done, from one number up to another.</summary>
    public static async Task<HashSet<int>> ReadDoneAsync(TenantSession session, Guid workId, int from, int to, CancellationToken cancellationToken)
    {
        var done = new HashSet<int>();
        var query = new NpgsqlBatchCommand(DoneSql)
        {
            Parameters = { Parameter.Of(session.Scope.TenantId), Parameter.Of(session.Scope.UserId!.Value), Parameter.Of(workId), Parameter.Of(from), Parameter.Of(to) },
        };
        await session.QueryAsync(query, row => done.Add(row.GetInt32(0)), cancellationToken);
        return done;
    }

    /// <summary>The parts after a number, in order, a bounded number at a time.</summary>
    public static async Task<List<(int Part, bool Succeeded, decimal Cost, byte[] Data)>> ReadAsync(
        TenantSession session, Guid workId, int after, int most, ContentCipher cipher, CancellationToken cancellationToken)
    {
        var parts = new List<(int, bool, decimal, byte[])>();
        var query = new NpgsqlBatchCommand(ReadSql)
        {
            Parameters = { Parameter.Of(session.Scope.TenantId), Parameter.Of(session.Scope.UserId!.Value), Parameter.Of(workId), Parameter.Of(after), Parameter.Of(most) },
        };
        await session.QueryAsync(
            query,
            row =>
            {
                var part = row.GetInt32(0);
                parts.Add((part, row.GetBoolean(1), row.GetDecimal(2), cipher.Decrypt(row.GetFieldValue<byte[]>(3), PlaceOf(workId, part))));
            },
            cancellationToken);
        return parts;
    }
}

internal sealed class JobPartModel : IEntityTypeConfiguration<JobPart>
{
    public void Configure(EntityTypeBuilder<JobPart> builder)
    {
        builder.ToTable("job_parts").HasKey(p => new { p.TenantId, p.UserId, p.WorkId, p.Part });
        builder.Property(p => p.Cost).HasColumnType("numeric(18,9)");
    }
}
