using AiAspire.Core.Data;
using Microsoft.EntityFrameworkCore;
using Microsoft.EntityFrameworkCore.Metadata.Builders;

namespace AiAspire.Core.Notifications;

/// <summary>Whom a tenant wants told of what; the platform tenant's row is for the operators.</summary>
public sealed class NotificationSettings : ITenantOwned
{
    public required Guid TenantId { get; init; }

    public required string[] Emails { get; set; }

    /// <summary>Of <see cref="NotificationTopics"/>; empty: all.</summary>
    public required string[] Topics { get; set; }

    public required DateTimeOffset ChangedAt { get; set; }
}

/// <summary>An address that is told by a signed POST (Standard Webhooks).</summary>
public sealed class NotificationWebhook : ITenantOwned
{
    public required Guid TenantId { get; init; }

    public required Guid WebhookId { get; init; }

    public required string Url { get; set; }

    /// <summary>Of <see cref="NotificationTopics"/>; empty: all.</summary>
    public required string[] Topics { get; set; }

    /// <summary>The signing key, encrypted under a key of the tenant's (<see cref="WebhookSecrets"/>).</summary>
    public required byte[] Secret { get; set; }

    public required DateTimeOffset CreatedAt { get; init; }
}

/// <summary>Something that happened, once: its key is unique within the tenant.</summary>
public sealed class Notification : ITenantOwned
{
    public required Guid TenantId { get; init; }

    public required Guid NotificationId { get; init; }

    public required string DedupKey { get; init; }

    public required string Topic { get; init; }

    public required string Subject { get; init; }

    public required string Text { get; init; }

    /// <summary>Particulars for programs, a JSON object.</summary>
    public required string Data { get; init; }

    public required DateTimeOffset CreatedAt { get; init; }
}

public enum DeliveryState
{
    Pending,
    Delivered,

    /// <summary>Refused for good, or tried as often as is allowed.</summary>
    Dead,
}

/// <summary>A notification on its way to one recipient. What is due is claimed with a lease, and every later write is fenced by its token.</summary>
public sealed class NotificationDelivery : ITenantOwned
{
    public required Guid TenantId { get; init; }

    public required Guid DeliveryId { get; init; }

    public required Guid NotificationId { get; init; }

    /// <summary><c>mail</c> or <c>webhook</c>.</summary>
    public required string Channel { get; init; }

    /// <summary>A mail address, or the id of a webhook.</summary>
    public required string Target { get; init; }

    public DeliveryState State { get; set; }

    public int Tries { get; set; }

    /// <summary>When it is due; while it is leased, when the lease ends.</summary>
    public required DateTimeOffset AvailableAt { get; set; }

    public Guid? LeaseToken { get; set; }

    public string? LastError { get; set; }

    public DateTimeOffset? FinishedAt { get; set; }
}

/// <summary>Someone who can be on call; a row of the platform tenant.</summary>
public sealed class OnCallContact : ITenantOwned
{
    public required Guid TenantId { get; init; }

    /// <summary>The order in which contacts are asked; the first whose shift it is, is on call.</summary>
    public required int Position { get; init; }

    public required string Name { get; init; }

    public required string Email { get; init; }

    /// <summary>Minutes from Monday 00:00 UTC at which the shifts begin; none: always on call.</summary>
    public required int[] ShiftStarts { get; init; }

    /// <summary>As many as <see cref="ShiftStarts"/>; not after the start: in the next week.</summary>
    public required int[] ShiftEnds { get; init; }
}

public static class NotificationSets
{
    extension(AiAspireDb db)
    {
        public DbSet<NotificationSettings> NotificationSettings => db.Set<NotificationSettings>();

        public DbSet<NotificationWebhook> NotificationWebhooks => db.Set<NotificationWebhook>();

        public DbSet<Notification> Notifications => db.Set<Notification>();

        public DbSet<NotificationDelivery> NotificationDeliveries => db.Set<NotificationDelivery>();

        public DbSet<OnCallContact> OnCallContacts => db.Set<OnCallContact>();
    }
}

internal sealed class NotificationModel
    : IEntityTypeConfiguration<NotificationSettings>, IEntityTypeConfiguration<NotificationWebhook>, IEntityTypeConfiguration<Notification>,
      IEntityTypeConfiguration<NotificationDelivery>, IEntityTypeConfiguration<OnCallContact>
{
    public void Configure(EntityTypeBuilder<NotificationSettings> builder) => builder.ToTable("notification_settings").HasKey(s => s.TenantId);

    public void Configure(EntityTypeBuilder<NotificationWebhook> builder)
        => builder.ToTable("notification_webhooks").HasKey(w => new { w.TenantId, w.WebhookId });

    public void Configure(EntityTypeBuilder<Notification> builder)
    {
        builder.ToTable("notifications").HasKey(n => new { n.TenantId, n.NotificationId });
        builder.HasIndex(n => new { n.TenantId, n.DedupKey }).IsUnique();
        builder.Property(n => n.Data).HasColumnType("jsonb");
    }

    public void Configure(EntityTypeBuilder<NotificationDelivery> builder)
    {
        builder.ToTable("notification_deliveries").HasKey(d => new { d.TenantId, d.DeliveryId });
        builder.HasOne<Notification>().WithMany().HasForeignKey(d => new { d.TenantId, d.NotificationId }).OnDelete(DeleteBehavior.Cascade);
        // What is due, over all tenants: the few rows that are under way.
        builder.HasIndex(d => new { d.TenantId, d.AvailableAt }).HasFilter("state = 'Pending'");
    }

    public void Configure(EntityTypeBuilder<OnCallContact> builder)
        => builder.ToTable("on_call_contacts").HasKey(c => new { c.TenantId, c.Position });
}
