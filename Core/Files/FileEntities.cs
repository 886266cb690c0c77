using AiAspire.Core.Data;
using AiAspire.Core.Tenancy;
using Microsoft.EntityFrameworkCore;
using Microsoft.EntityFrameworkCore.Metadata.Builders;

namespace AiAspire.Core.Files;

/// <summary>A file of a user's. Its content stands in <see cref="FileChunk"/>s; until all of it is there nobody sees the file.</summary>
public sealed class StoredFile : IUserOwned
{
    public required Guid TenantId { get; init; }

    public required Guid UserId { get; init; }

    public required Guid FileId { get; init; }

    /// <summary>One of <see cref="FilePurposes"/>.</summary>
    public required string Purpose { get; init; }

    /// <summary>Encrypted with the user's key.</summary>
    public required byte[] Name { get; init; }

    /// <summary>Of the content in the clear.</summary>
    public long Bytes { get; init; }

    /// <summary>False while it is being written, and for good when that was cut short.</summary>
    public bool IsReady { get; init; }

    public required DateTimeOffset CreatedAt { get; init; }

    public required DateTimeOffset ExpiresAt { get; init; }
}

/// <summary>A piece of a file's content: small enough that nobody ever holds a whole file.</summary>
public sealed class FileChunk : IUserOwned
{
    public required Guid TenantId { get; init; }

    public required Guid UserId { get; init; }

    public required Guid FileId { get; init; }

    /// <summary>Where in the content it begins, in bytes.</summary>
    public required long Start { get; init; }

    /// <summary>Encrypted with the user's key.</summary>
    public required byte[] Data { get; init; }
}

/// <summary>What a file is for, in OpenAI's words.</summary>
public static class FilePurposes
{
    /// <summary>The requests of a batch; the one purpose that is uploaded.</summary>
    public const string Batch = "batch";

    /// <summary>The answers of a batch.</summary>
    public const string BatchOutput = "batch_output";

    public static IReadOnlyList<string> All { get; } = [Batch, BatchOutput];
}

public static class FileSets
{
    extension(AiAspireDb db)
    {
        public DbSet<StoredFile> Files => db.Set<StoredFile>();
    }
}

internal sealed class FileModel : IEntityTypeConfiguration<StoredFile>, IEntityTypeConfiguration<FileChunk>
{
    public void Configure(EntityTypeBuilder<StoredFile> builder)
    {
        builder.ToTable("files").HasKey(f => new { f.TenantId, f.UserId, f.FileId });
        builder.HasOne<User>().WithMany().HasForeignKey(f => new { f.TenantId, f.UserId });
    }

    public void Configure(EntityTypeBuilder<FileChunk> builder)
    {
        builder.ToTable("file_chunks").HasKey(c => new { c.TenantId, c.UserId, c.FileId, c.Start });
        builder.HasOne<StoredFile>().WithMany().HasForeignKey(c => new { c.TenantId, c.UserId, c.FileId }).OnDelete(DeleteBehavior.Cascade);
    }
}
