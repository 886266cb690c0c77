using AiAspire.Core.Data;
using AiAspire.Core.Tenancy;
using Microsoft.EntityFrameworkCore;
using Microsoft.EntityFrameworkCore.Metadata.Builders;

namespace AiAspire.Core.Conversations;

public sealed class Conversation : IUserOwned
{
    public required Guid TenantId { get; init; }

    public required Guid ConversationId { get; init; }

    public required Guid UserId { get; init; }

    public required string Feature { get; init; }

    public required DateTimeOffset CreatedAt { get; init; }

    /// <summary>When its last message came; retention counts from here.</summary>
    public required DateTimeOffset LastMessageAt { get; set; }
}

public sealed class Message : IUserOwned
{
    public required Guid TenantId { get; init; }

    public required Guid ConversationId { get; init; }

    public required Guid MessageId { get; init; }

    public required Guid UserId { get; init; }

    public required Guid RequestId { get; init; }

    public required string Role { get; init; }

    /// <summary>The message's JSON, encrypted with the user's key.</summary>
    public required byte[] Content { get; init; }

    /// <summary>The exact model version, as the provider names it; null for what a person wrote.</summary>
    public string? Model { get; init; }

    public required DateTimeOffset CreatedAt { get; init; }
}

/// <summary>A user's opinion of one answer.</summary>
public sealed class Feedback : IUserOwned
{
    public required Guid TenantId { get; init; }

    public required Guid FeedbackId { get; init; }

    public required Guid UserId { get; init; }

    public required Guid RequestId { get; init; }

    /// <summary>1 (poor) to 5 (good).</summary>
    public required int Rating { get; init; }

    /// <summary>Encrypted with the user's key.</summary>
    public byte[]? Comment { get; init; }

    public required DateTimeOffset CreatedAt { get; init; }
}

public static class ConversationSets
{
    extension(AiAspireDb db)
    {
        public DbSet<Conversation> Conversations => db.Set<Conversation>();

        public DbSet<Message> Messages => db.Set<Message>();

        public DbSet<Feedback> Feedback => db.Set<Feedback>();
    }
}

internal sealed class ConversationModel
    : IEntityTypeConfiguration<Conversation>, IEntityTypeConfiguration<Message>, IEntityTypeConfiguration<Feedback>
{
    public void Configure(EntityTypeBuilder<Conversation> builder)
    {
        // The user stands in the key, so that a message's foreign key cannot reach another user's conversation: foreign keys ignore row-level security.
        builder.ToTable("conversations").HasKey(c => new { c.TenantId, c.UserId, c.ConversationId });
        builder.HasIndex(c => new { c.TenantId, c.LastMessageAt });
        builder.HasOne<User>().WithMany().HasForeignKey(c => new { c.TenantId, c.UserId });
    }

    public void Configure(EntityTypeBuilder<Message> builder)
    {
        builder.ToTable("messages").HasKey(m => new { m.TenantId, m.UserId, m.ConversationId, m.MessageId });
        builder.HasOne<Conversation>().WithMany()
            .HasForeignKey(m => new { m.TenantId, m.UserId, m.ConversationId })
            .OnDelete(DeleteBehavior.Cascade);
    }

    public void Configure(EntityTypeBuilder<Feedback> builder)
    {
        builder.ToTable("feedback").HasKey(f => new { f.TenantId, f.UserId, f.FeedbackId });
        builder.HasIndex(f => new { f.TenantId, f.UserId, f.RequestId }).IsUnique();
        builder.HasOne<User>().WithMany().HasForeignKey(f => new { f.TenantId, f.UserId });
    }
}
